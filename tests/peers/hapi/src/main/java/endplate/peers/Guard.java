package endplate.peers;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpFilter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.ParseException;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.stream.Stream;

/**
 * What a SMART server asks of a caller: a token that the token endpoint signed, made out to us, not expired (401),
 * whose scopes cover the request (403): `system/Observation.rs`, `system/*.read`, and `patient/Observation.rs` for what
 * is asked about the patient of the launch alone. Open are the capability statement and
 * `.well-known/smart-configuration`.
 */
final class Guard extends HttpFilter {

    static final String AUDIENCE = "https://fhir.example.org/r4";

    private final String address;
    private final long slowness;
    private final ConcurrentMap<String, JWKSource<SecurityContext>> keys = new ConcurrentHashMap<>();

    Guard(String address, long slowness) {
        this.address = address;
        this.slowness = slowness;
    }

    @Override
    protected void doFilter(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        var path = request.getPathInfo() == null ? "/" : request.getPathInfo();
        pause();
        if (path.equals("/.well-known/smart-configuration")) {
            configuration(response);
        } else if (path.equals("/metadata")) {
            chain.doFilter(request, response);
        } else {
            admit(request, response, chain, path);
        }
    }

    private void admit(HttpServletRequest request, HttpServletResponse response, FilterChain chain, String path)
            throws IOException, ServletException {
        JWTClaimsSet claims;
        try {
            claims = verified(request.getHeader("Authorization"));
        } catch (BadJOSEException | JOSEException | ParseException refused) {
            response.setHeader("WWW-Authenticate", "Bearer error=\"invalid_token\"");
            refuse(response, 401, "login", "the token is missing, not ours, or expired");
            return;
        }
        if (covers(claims, request, path.split("/", 3))) {
            chain.doFilter(request, response);
        } else {
            response.setHeader("WWW-Authenticate", "Bearer error=\"insufficient_scope\"");
            refuse(response, 403, "forbidden", "the scopes of the token do not cover this");
        }
    }

    private JWTClaimsSet verified(String authorization)
            throws BadJOSEException, JOSEException, ParseException, IOException {
        if (authorization == null || !authorization.startsWith("Bearer ")) {
            throw new BadJOSEException("no bearer token");
        }
        var issuer = issuer();
        var processor = new DefaultJWTProcessor<SecurityContext>();
        processor.setJWSTypeVerifier((type, context) -> {});  // at+jwt or JWT
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(
            JWSAlgorithm.RS256, keys.computeIfAbsent(issuer, Guard::source)));
        processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
            AUDIENCE, new JWTClaimsSet.Builder().issuer(issuer).build(), Set.of("exp", "client_id")));
        ((DefaultJWTClaimsVerifier<?>) processor.getJWTClaimsSetVerifier()).setMaxClockSkew(0);
        return processor.process(authorization.substring("Bearer ".length()), null);
    }

    private static JWKSource<SecurityContext> source(String issuer) {
        try {
            return JWKSourceBuilder.create(URI.create(issuer + "/jwks").toURL()).build();
        } catch (IOException wrong) {
            throw new IllegalStateException(wrong);
        }
    }

    /** Whether a scope covers a request, in the words of SMART 1 (read, write) or 2 (cruds). */
    private static boolean covers(JWTClaimsSet claims, HttpServletRequest request, String[] path) {
        var type = path[1];
        var needed = switch (request.getMethod()) {
            case "GET", "HEAD" -> "rs";
            case "DELETE" -> "d";
            default -> "cu";
        };
        Object scopes = claims.getClaim("scope");
        for (var scope : scopes == null ? new String[0] : scopes.toString().split(" ")) {
            var parts = scope.split("[/.?]");
            var applies = parts[0].equals("system") || parts[0].equals("patient") && isAbout(claims, request, path);
            if (parts.length < 3 || !applies) {
                continue;
            }
            // a page of a search, and an operation on the server ($export, its status), are of no one type
            var named = parts[1].equals("*") || parts[1].equals(type) || type.isEmpty() || type.startsWith("$");
            var cruds = parts[2].replace("*", "cruds").replace("read", "rs").replace("write", "cud");
            if (named && needed.chars().anyMatch(letter -> cruds.indexOf(letter) >= 0)) {
                return true;
            }
        }
        return false;
    }

    /** Whether a request is about the patient of the launch: their Patient, a search by them, its pages, a writing. */
    private static boolean isAbout(JWTClaimsSet claims, HttpServletRequest request, String[] path) {
        if (!(claims.getClaim("patient") instanceof String patient)) {
            return false;
        }
        if (!request.getMethod().equals("GET") || request.getParameter("_getpages") != null) {
            return true;
        }
        if (path.length > 2) {
            return path[1].equals("Patient") && path[2].equals(patient);
        }
        return Stream.of("patient", "subject").map(request::getParameter).filter(Objects::nonNull)
            .anyMatch(asked -> asked.replace("Patient/", "").equals(patient));
    }

    private void configuration(HttpServletResponse response) throws IOException {
        write(response, 200, """
            {"issuer": "%1$s",
             "jwks_uri": "%1$s/jwks",
             "authorization_endpoint": "%1$s/auth",
             "token_endpoint": "%1$s/token",
             "token_endpoint_auth_methods_supported": ["private_key_jwt"],
             "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
             "grant_types_supported": ["authorization_code", "client_credentials"],
             "code_challenge_methods_supported": ["S256"],
             "scopes_supported": ["system/*.rs", "system/*.cud", "openid", "fhirUser", "launch", "launch/patient"],
             "capabilities": ["launch-ehr", "launch-standalone", "client-public", "client-confidential-asymmetric",
               "sso-openid-connect", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
               "permission-patient", "permission-v2"]}""".formatted(issuer()),
            "application/json");
    }

    private static void refuse(HttpServletResponse response, int status, String code, String why) throws IOException {
        write(response, status, """
            {"resourceType": "OperationOutcome",
             "issue": [{"severity": "error", "code": "%s", "diagnostics": "%s"}]}""".formatted(code, why),
            "application/fhir+json");
    }

    private static void write(HttpServletResponse response, int status, String body, String type) throws IOException {
        response.setStatus(status);
        response.setContentType(type);
        response.setCharacterEncoding("UTF-8");
        response.getWriter().write(body);
    }

    /** The token endpoint may start after us, so its address is read when it is needed. */
    private static String issuer() throws IOException {
        var file = System.getProperty("peer.issuer");
        if (file == null || !Files.exists(Path.of(file))) {
            throw new IOException("no token endpoint is known");
        }
        return Files.readString(Path.of(file)).strip();
    }

    private void pause() {
        try {
            Thread.sleep(slowness);
        } catch (InterruptedException over) {
            Thread.currentThread().interrupt();
        }
    }
}

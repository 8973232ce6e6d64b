package endplate.peers;

import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.cache.BaseResourceCacheSynchronizer;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.interceptor.api.IInterceptorService;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.config.JpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.r5.JpaR5Config;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.provider.SubscriptionTriggeringProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.topic.ISubscriptionTopicLoader;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.IServerAddressStrategy;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.interceptor.CorsInterceptor;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.ServletContext;
import jakarta.servlet.http.HttpServletRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.EnumSet;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/**
 * A HAPI FHIR JPA server on loopback, the same data at three addresses: /fhir is open to all, /guarded asks for a
 * token (Guard), /slow asks for a token and takes its time.
 *
 * <p>System properties: peer.fhir (r4, r5), peer.port (0: a free one), peer.ready (a file that gets the base address),
 * peer.database (JDBC), peer.subscriptionMs, peer.issuer (a file with the address of the token endpoint), peer.slowMs,
 * peer.config (a configuration class more: endplate.peers.Rival).
 */
public final class HapiPeer {

    private static final String OPEN = "/fhir";
    private static final String GUARDED = "/guarded";
    private static final String SLOW = "/slow";

    /** Adds servlets beside the FHIR server. */
    interface Servlets {
        void add(ServletContextHandler handler);
    }

    public static void main(String[] arguments) throws Exception {
        var version = System.getProperty("peer.fhir", "r4");
        var beans = new AnnotationConfigApplicationContext();
        beans.register(version.equals("r5") ? JpaR5Config.class : JpaR4Config.class, Storage.class);
        if (System.getProperty("peer.config") != null) {
            beans.register(Class.forName(System.getProperty("peer.config")));
        }
        beans.refresh();

        var jetty = new Server();
        var connector = new ServerConnector(jetty);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.getInteger("peer.port", 0));
        connector.open();
        jetty.addConnector(connector);
        var address = "http://127.0.0.1:" + connector.getLocalPort();

        var fhir = new ServletHolder(server(beans, address));
        var handler = new ServletContextHandler();
        handler.setContextPath("/");
        for (var path : new String[] {OPEN, GUARDED, SLOW}) {
            handler.addServlet(fhir, path + "/*");
        }
        var at = EnumSet.of(DispatcherType.REQUEST);
        handler.addFilter(new FilterHolder(new Guard(address, 0)), GUARDED + "/*", at);
        handler.addFilter(new FilterHolder(new Guard(address, Long.getLong("peer.slowMs", 1000))), SLOW + "/*", at);
        beans.getBeansOfType(Servlets.class).values().forEach(more -> more.add(handler));
        jetty.setHandler(handler);
        jetty.start();

        if (version.equals("r4")) {
            noticeTopics(beans);
        }
        if (System.getProperty("peer.ready") != null) {
            var ready = Path.of(System.getProperty("peer.ready"));
            var written = Files.writeString(ready.resolveSibling(ready.getFileName() + ".new"), address + OPEN);
            Files.move(written, ready, StandardCopyOption.ATOMIC_MOVE);
        }
        jetty.join();
    }

    private static RestfulServer server(AnnotationConfigApplicationContext beans, String address) {
        var fhir = beans.getBeanProvider(RestfulServer.class)
            .getIfAvailable(() -> new RestfulServer(beans.getBean(FhirContext.class)));
        fhir.registerProviders(beans.getBean(ResourceProviderFactory.class).createProviders());
        fhir.registerProvider(beans.getBean(JpaSystemProvider.class));
        fhir.registerProvider(beans.getBean(BulkDataExportProvider.class));
        fhir.registerProvider(beans.getBean(SubscriptionTriggeringProvider.class));
        fhir.setPagingProvider(beans.getBean(DatabaseBackedPagingProvider.class));
        fhir.setInterceptorService(beans.getBean(IInterceptorService.class));
        fhir.registerInterceptor(new CorsInterceptor());
        fhir.setDefaultResponseEncoding(EncodingEnum.JSON);
        fhir.setServerAddressStrategy(new Addresses(address));
        var capabilities = new JpaCapabilityStatementProvider(
            fhir,
            beans.getBean(IFhirSystemDao.class),
            beans.getBean(JpaStorageSettings.class),
            beans.getBean(ISearchParamRegistry.class),
            beans.getBean(JpaConfig.JPA_VALIDATION_SUPPORT_CHAIN, IValidationSupport.class));
        capabilities.setImplementationDescription("a peer of tests");
        fhir.setServerConformanceProvider(capabilities);
        return fhir;
    }

    /** Links lead back to the address that was asked; a caller never decides it. */
    private record Addresses(String address) implements IServerAddressStrategy {
        @Override
        public String determineServerBase(ServletContext context, HttpServletRequest request) {
            var path = request == null ? OPEN : request.getServletPath();
            return address + (path.equals(GUARDED) || path.equals(SLOW) ? path : OPEN);
        }
    }

    /** R4 topics (kept as Basic) are otherwise seen once a minute. */
    private static void noticeTopics(AnnotationConfigApplicationContext beans) {
        var topics = (BaseResourceCacheSynchronizer) beans.getBean(ISubscriptionTopicLoader.class);
        var clock = Executors.newSingleThreadScheduledExecutor(work -> {
            var thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
        });
        clock.scheduleWithFixedDelay(topics::forceRefresh, 1, 1, TimeUnit.SECONDS);
    }
}

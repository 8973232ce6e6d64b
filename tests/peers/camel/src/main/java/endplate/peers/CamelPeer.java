package endplate.peers;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.model.v25.datatype.CE;
import ca.uhn.hl7v2.model.v25.datatype.NM;
import ca.uhn.hl7v2.model.v25.message.ORU_R01;
import ca.uhn.hl7v2.parser.CanonicalModelClassFactory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.main.BaseMainSupport;
import org.apache.camel.main.Main;
import org.apache.camel.main.MainListenerSupport;
import org.hl7.fhir.instance.model.api.IBaseBundle;
import org.hl7.fhir.r4.model.CodeableConcept;
import org.hl7.fhir.r4.model.DateTimeType;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.Observation.ObservationStatus;
import org.hl7.fhir.r4.model.Quantity;
import org.hl7.fhir.r4.model.Reference;

/**
 * A hospital's integration engine. Laboratory messages (HL7 v2 ORU over MLLP) become Observations on the FHIR server, or,
 * with a hook, are posted there with its secret; the sender is acknowledged when they are taken. What is posted to /notify is relayed to the sink, again when the sink fails; with a query, its results are polled and
 * sent to the sink.
 *
 * <p>System properties: peer.fhir and peer.sink (addresses), peer.mllp and peer.http (ports), peer.query, peer.hook (an
 * address) with peer.secret (its header, {@code Name: value}), all three optional,
 * peer.ready (a file that is written when all routes stand).
 */
public final class CamelPeer extends RouteBuilder {

    private static final FhirContext R4 = FhirContext.forR4Cached();
    private static final String UCUM = "http://unitsofmeasure.org";
    private static final String INTERPRETATION =
        "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";

    private final String fhir = System.getProperty("peer.fhir");
    private final String sink = System.getProperty("peer.sink");
    private final String query = System.getProperty("peer.query", "");
    private final String hook = System.getProperty("peer.hook", "");
    private final String[] secret = System.getProperty("peer.secret", "X-Secret: none").split(": ", 2);

    public static void main(String[] arguments) throws Exception {
        var camel = new Main();
        camel.configure().addRoutesBuilder(new CamelPeer());
        camel.addMainListener(new MainListenerSupport() {
            @Override
            public void afterStart(BaseMainSupport started) {
                ready();
            }
        });
        camel.run(arguments);
    }

    private static void ready() {
        try {
            var file = Path.of(System.getProperty("peer.ready"));
            var written = Files.writeString(file.resolveSibling(file.getFileName() + ".new"),
                "http://127.0.0.1:" + Integer.getInteger("peer.http") + "/notify");
            Files.move(written, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    @Override
    public void configure() {
        errorHandler(deadLetterChannel("direct:parked")
            .useOriginalMessage().maximumRedeliveries(5).redeliveryDelay(200));
        from("direct:parked").log("parked: ${exception.message}");

        var laboratory = from("mllp:127.0.0.1:" + Integer.getInteger("peer.mllp")).routeId("laboratory")
            .errorHandler(defaultErrorHandler().maximumRedeliveries(5).redeliveryDelay(200)) // then its sender is told
            .process(exchange -> exchange.getIn().setBody(observation(message(exchange))));
        if (hook.isEmpty()) {
            laboratory.to("fhir://create/resource?inBody=resource&fhirVersion=R4&serverUrl=" + fhir);
        } else {
            laboratory
                .process(exchange -> exchange.getIn().setBody(
                    R4.newJsonParser().encodeResourceToString(exchange.getIn().getBody(Observation.class))))
                .setHeader(secret[0], constant(secret[1]))
                .setHeader(Exchange.CONTENT_TYPE, constant("application/fhir+json"))
                .setHeader(Exchange.HTTP_METHOD, constant("POST"))
                .to(hook);
        }

        from("jetty:http://127.0.0.1:" + Integer.getInteger("peer.http") + "/notify?matchOnUriPrefix=true")
            .routeId("relay")
            .convertBodyTo(String.class)
            .removeHeaders("CamelHttp*")
            .setHeader(Exchange.HTTP_METHOD, constant("POST"))
            .to(sink + "?bridgeEndpoint=true")
            .setBody(constant(""));

        if (!query.isEmpty()) {
            from("timer:poll?period=1000").routeId("poll")
                .setHeader("CamelFhir.url", constant(query))
                .to("fhir://search/searchByUrl?fhirVersion=R4&serverUrl=" + fhir)
                .process(exchange -> exchange.getIn().setBody(
                    R4.newJsonParser().encodeResourceToString(exchange.getIn().getBody(IBaseBundle.class))))
                .removeHeaders("*")
                .setHeader(Exchange.CONTENT_TYPE, constant("application/fhir+json"))
                .setHeader(Exchange.HTTP_METHOD, constant("POST"))
                .to(sink);
        }
    }

    private static ORU_R01 message(Exchange exchange) throws HL7Exception {
        try (var context = new DefaultHapiContext()) {
            context.setModelClassFactory(new CanonicalModelClassFactory("2.5"));
            var text = new String(exchange.getIn().getBody(byte[].class), StandardCharsets.UTF_8);
            return (ORU_R01) context.getPipeParser().parse(text);
        }
    }

    /**
     * The first result of a message, under the laboratory's number of the order (OBR-3) if it has one. A coded one (CE)
     * keeps its code, a number (NM) its unit as UCUM, both the laboratory's judgement (OBX-8).
     */
    private static Observation observation(ORU_R01 message) throws HL7Exception {
        var patient = message.getPATIENT_RESULT().getPATIENT().getPID();
        var order = message.getPATIENT_RESULT().getORDER_OBSERVATION();
        var result = order.getOBSERVATION().getOBX();
        var observation = new Observation();
        observation.setStatus("C".equals(result.getObservationResultStatus().getValue())
            ? ObservationStatus.CORRECTED : ObservationStatus.FINAL);
        var number = order.getOBR().getFillerOrderNumber().getEntityIdentifier().getValue();
        if (number != null) {
            observation.setId(number);
        }
        var judged = result.getAbnormalFlags(0).getValue();
        if (judged != null) {
            observation.addInterpretation().addCoding().setSystem(INTERPRETATION).setCode(judged);
        }
        observation.getCode().addCoding()
            .setSystem("http://loinc.org").setCode(result.getObservationIdentifier().getIdentifier().getValue());
        observation.setSubject(new Reference("Patient/" + patient.getPatientIdentifierList(0).getIDNumber().getValue()));
        var time = result.getDateTimeOfTheObservation().getTime();
        if (time.getValue() != null) {
            observation.setEffective(new DateTimeType(time.getValueAsDate()));
        }
        var value = result.getObservationValue(0).getData();
        if (value instanceof NM numeric) {
            var unit = result.getUnits().getIdentifier().getValue();
            observation.setValue(new Quantity()
                .setValue(new BigDecimal(numeric.getValue())).setUnit(unit).setSystem(UCUM).setCode(unit));
        } else if (value instanceof CE coded) {
            var concept = new CodeableConcept().setText(coded.getText().getValue());
            concept.addCoding().setSystem("http://snomed.info/sct").setCode(coded.getIdentifier().getValue());
            observation.setValue(concept);
        }
        return observation;
    }
}

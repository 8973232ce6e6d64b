package endplate.peers;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.api.server.cdshooks.CdsServiceRequestJson;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.hapi.fhir.cdshooks.api.CdsService;
import ca.uhn.hapi.fhir.cdshooks.api.CdsServicePrefetch;
import ca.uhn.hapi.fhir.cdshooks.api.ICdsHooksDaoAuthorizationSvc;
import ca.uhn.hapi.fhir.cdshooks.api.ICdsServiceRegistry;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceIndicatorEnum;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceResponseCardJson;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceResponseCardSourceJson;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceResponseJson;
import ca.uhn.hapi.fhir.cdshooks.config.CdsHooksConfig;
import ca.uhn.hapi.fhir.cdshooks.controller.CdsHooksController;
import ca.uhn.hapi.fhir.cdshooks.svc.CdsHooksContextBooter;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigDecimal;
import java.util.List;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Observation;
import org.opencds.cqf.fhir.cql.EvaluationSettings;
import org.opencds.cqf.fhir.cr.hapi.config.CrBaseConfig;
import org.opencds.cqf.fhir.cr.hapi.config.CrCdsHooksConfig;
import org.opencds.cqf.fhir.cr.hapi.config.RepositoryConfig;
import org.opencds.cqf.fhir.cr.hapi.config.r4.ApplyOperationConfig;
import org.opencds.cqf.fhir.cr.hapi.config.r4.CrR4Config;
import org.opencds.cqf.fhir.cr.measure.CareGapsProperties;
import org.opencds.cqf.fhir.cr.measure.MeasureEvaluationOptions;
import org.opencds.cqf.fhir.utility.client.TerminologyServerClientSettings;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.ApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.http.converter.HttpMessageConverter;
import org.springframework.http.converter.json.MappingJackson2HttpMessageConverter;
import org.springframework.web.context.support.AnnotationConfigWebApplicationContext;
import org.springframework.web.servlet.DispatcherServlet;
import org.springframework.web.servlet.config.annotation.EnableWebMvc;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;

/**
 * HAPI's own CDS Hooks and clinical reasoning beside the R4 server, to be measured against: /cds/cds-services offers a
 * rule in Java, and one for every PlanDefinition with CQL that is stored.
 */
@Configuration
@Import({
    CrBaseConfig.class, CrR4Config.class, ApplyOperationConfig.class, RepositoryConfig.class,
    CdsHooksConfig.class, CrCdsHooksConfig.class
})
public class Rival {

    /** The smallest useful rule: one result over one limit. */
    public static class Potassium {
        private static final BigDecimal LIMIT = new BigDecimal(6);

        @CdsService(
            value = "potassium",
            hook = "patient-view",
            title = "Potassium",
            description = "a rule in Java over prefetch",
            prefetch = @CdsServicePrefetch(
                value = "potassium",
                query = "Observation?patient={{context.patientId}}&code=http://loinc.org|2823-3"))
        public CdsServiceResponseJson answer(CdsServiceRequestJson request) {
            var response = new CdsServiceResponseJson();
            for (var entry : ((Bundle) request.getPrefetch("potassium")).getEntry()) {
                var value = ((Observation) entry.getResource()).getValueQuantity().getValue();
                if (value.compareTo(LIMIT) > 0) {
                    response.addCard(card("Potassium " + value));
                }
            }
            return response;
        }

        private static CdsServiceResponseCardJson card(String summary) {
            var source = new CdsServiceResponseCardSourceJson();
            source.setLabel("potassium");
            var card = new CdsServiceResponseCardJson();
            card.setSummary(summary);
            card.setIndicator(CdsServiceIndicatorEnum.WARNING);
            card.setSource(source);
            return card;
        }
    }

    @Configuration
    public static class Services {
        @Bean(name = "cdsServices")
        public List<Object> services() {
            return List.of(new Potassium());
        }
    }

    @Bean
    HapiPeer.Servlets cdsHooks(ApplicationContext beans) {
        return handler -> {
            var web = new AnnotationConfigWebApplicationContext();
            web.setParent(beans);
            web.register(RivalWeb.class);
            handler.addServlet(new ServletHolder(new DispatcherServlet(web)), "/cds/*");
        };
    }

    @Bean
    CdsHooksContextBooter booter() {
        var booter = new CdsHooksContextBooter();
        booter.setDefinitionsClass(Services.class);
        booter.start();
        return booter;
    }

    @Bean
    RestfulServer restfulServer(FhirContext context) {
        return new RestfulServer(context);
    }

    @Bean
    ICdsHooksDaoAuthorizationSvc everythingMayBeRead() {
        return resource -> {};
    }

    @Bean
    EvaluationSettings evaluationSettings() {
        return EvaluationSettings.getDefault();
    }

    @Bean
    TerminologyServerClientSettings terminologySettings() {
        return TerminologyServerClientSettings.getDefault();
    }

    @Bean
    MeasureEvaluationOptions measureOptions(EvaluationSettings settings) {
        return MeasureEvaluationOptions.defaultOptions().setEvaluationSettings(settings);
    }

    @Bean
    CareGapsProperties careGaps() {
        var properties = new CareGapsProperties();
        properties.setCareGapsReporter("peer");
        properties.setCareGapsCompositionSectionAuthor("peer");
        return properties;
    }
}

/** In a context of its own below the servlet, so not nested: a nested configuration belongs to the outer one. */
@Configuration
@EnableWebMvc
class RivalWeb implements WebMvcConfigurer {
    private final ObjectMapper mapper;

    RivalWeb(@Qualifier(CdsHooksConfig.CDS_HOOKS_OBJECT_MAPPER_FACTORY) ObjectMapper mapper) {
        this.mapper = mapper;
    }

    @Override
    public void configureMessageConverters(List<HttpMessageConverter<?>> converters) {
        converters.add(new MappingJackson2HttpMessageConverter(mapper));
    }

    @Bean
    CdsHooksController controller(ICdsServiceRegistry registry) {
        return new CdsHooksController(registry);
    }
}

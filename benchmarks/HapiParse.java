import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.IParser;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Condition;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.Quantity;

/** HAPI's parser with the rule written by hand over its classes. `HapiParse FILE` -> {cpu_s, patients, positive, memory_mb}. */
class HapiParse {
    static final IParser PARSER = FhirContext.forR4Cached().newJsonParser();

    static boolean found(Bundle bundle) {
        boolean als = false, high = false;
        for (Bundle.BundleEntryComponent entry : bundle.getEntry()) {
            if (entry.getResource() instanceof Condition one) {
                als |= one.getCode().hasCoding("http://snomed.info/sct", "86044005");
            } else if (entry.getResource() instanceof Observation one) {
                high |= one.getCode().hasCoding("http://loinc.org", "11034-6")
                    && one.getValue() instanceof Quantity value && value.hasValue() && value.getValue().doubleValue() > 0.4;
            }
        }
        return als && high;
    }

    static int screened(List<String> lines) {
        int positive = 0;
        for (String line : lines) {
            positive += found(PARSER.parseResource(Bundle.class, line)) ? 1 : 0;
        }
        return positive;
    }

    public static void main(String[] arguments) throws Exception {
        List<String> lines = Files.readAllLines(Path.of(arguments[0]));
        var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        screened(lines);                                      // as in use: loaded and compiled
        long before = system.getProcessCpuTime();
        int positive = screened(lines);
        double spent = (system.getProcessCpuTime() - before) / 1e9;
        long held = Runtime.getRuntime().totalMemory() >> 20;
        System.out.printf("{\"cpu_s\": %s, \"patients\": %d, \"positive\": %d, \"memory_mb\": %d}%n",
            spent, lines.size(), positive, held);
    }
}

// Screens Bundles (NDJSON) with one rule: ALS, and acetylcholine receptor antibodies above 0.4 nmol/L.
// node screen.mjs cql-execution|fqm-execution FILE -> {cpu_s, patients, positive, memory_mb}
import { readFileSync } from "node:fs";
import cql from "cql-execution";
import cqlFhir from "cql-exec-fhir";
import { Calculator } from "fqm-execution";

const BATCH = 100;
const [engine, file] = process.argv.slice(2);

// the rule as ELM, which is what translators make of CQL
const local = (name) => ({ type: "List", element: [{ name, type: "CodeRef" }] });
const retrieve = (kind, code) => ({
  type: "Retrieve", dataType: `{http://hl7.org/fhir}${kind}`, codeProperty: "code", codes: local(code),
});
const amount = ["value", "value", "value"].reduce((source, path) => ({ type: "Property", path, source }), {
  type: "AliasRef", name: "O",
});
const high = {
  type: "Query", relationship: [], source: [{ alias: "O", expression: retrieve("Observation", "Antibodies") }],
  where: {
    type: "Greater",
    operand: [amount, { type: "Literal", valueType: "{urn:hl7-org:elm-types:r1}Decimal", value: "0.4" }],
  },
};
const define = (name, expression) => ({ name, context: "Patient", accessLevel: "Public", expression });
const exists = (operand) => ({ type: "Exists", operand });
const library = {
  library: {
    identifier: { id: "Rule", version: "1.0.0" },
    schemaIdentifier: { id: "urn:hl7-org:elm", version: "r1" },
    usings: { def: [
      { localIdentifier: "System", uri: "urn:hl7-org:elm-types:r1" },
      { localIdentifier: "FHIR", uri: "http://hl7.org/fhir", version: "4.0.1" },
    ] },
    codeSystems: { def: [
      { name: "SNOMED", id: "http://snomed.info/sct", accessLevel: "Public" },
      { name: "LOINC", id: "http://loinc.org", accessLevel: "Public" },
    ] },
    codes: { def: [
      { name: "ALS", id: "86044005", accessLevel: "Public", codeSystem: { name: "SNOMED" } },
      { name: "Antibodies", id: "11034-6", accessLevel: "Public", codeSystem: { name: "LOINC" } },
    ] },
    statements: { def: [
      define("Patient", { type: "SingletonFrom", operand: { type: "Retrieve", dataType: "{http://hl7.org/fhir}Patient" } }),
      define("Found", { type: "And", operand: [exists(retrieve("Condition", "ALS")), exists(high)] }),
    ] },
  },
};

async function withCqlExecution(lines) {
  const rule = new cql.Library(library.library ? library : { library });
  const executor = new cql.Executor(rule);
  const source = cqlFhir.PatientSource.FHIRv401();          // reused: a new one reads the whole model again
  let positive = 0;
  for (let start = 0; start < lines.length; start += BATCH) {
    source.reset();
    source.loadBundles(lines.slice(start, start + BATCH).map((line) => JSON.parse(line)));
    const results = (await executor.exec(source)).patientResults;
    positive += Object.values(results).filter((found) => found.Found === true).length;
  }
  return positive;
}

function measure() {
  const url = "http://example.org/Library/Rule";
  const group = ["initial-population", "denominator", "numerator"].map((code) => ({
    code: { coding: [{ system: "http://terminology.hl7.org/CodeSystem/measure-population", code }] },
    criteria: { language: "text/cql-identifier", expression: "Found" },
  }));
  const content = [{ contentType: "application/elm+json", data: Buffer.from(JSON.stringify(library)).toString("base64") }];
  const scoring = { coding: [{ system: "http://terminology.hl7.org/CodeSystem/measure-scoring", code: "proportion" }] };
  const resources = [
    { resourceType: "Measure", id: "rule", url: "http://example.org/Measure/rule", status: "active", scoring,
      library: [url], group: [{ id: "only", population: group }] },
    { resourceType: "Library", id: "Rule", url, name: "Rule", version: "1.0.0", status: "active", content,
      type: { coding: [{ code: "logic-library" }] } },
  ];
  return { resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) };
}

async function withFqmExecution(lines) {
  const asked = measure();
  const options = {
    calculateHTML: false, calculateSDEs: false, calculateClauseCoverage: false, calculateClauseUncoverage: false,
    measurementPeriodStart: "2026-01-01", measurementPeriodEnd: "2026-12-31", disableHTMLOrdering: true, trustMetaProfile: false,
  };
  let positive = 0;
  for (let start = 0; start < lines.length; start += BATCH) {
    const bundles = lines.slice(start, start + BATCH).map((line) => JSON.parse(line));
    const { results } = await Calculator.calculate(asked, bundles, options);
    positive += results.filter((found) => found.detailedResults[0].populationResults
      .some((one) => one.populationType === "numerator" && one.result)).length;
  }
  return positive;
}

const lines = readFileSync(file, "utf-8").split("\n").filter(Boolean);
const run = { "cql-execution": withCqlExecution, "fqm-execution": withFqmExecution }[engine];
await run(lines.slice(0, BATCH));                             // as in use: compiled and loaded
const before = process.cpuUsage();
const positive = await run(lines);
const spent = process.cpuUsage(before);
console.log(JSON.stringify({
  cpu_s: (spent.user + spent.system) / 1e6, patients: lines.length, positive,
  memory_mb: process.memoryUsage().rss / 2 ** 20,
}));

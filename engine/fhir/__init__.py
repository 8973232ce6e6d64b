"""Raw FHIR JSON to one `Record` per patient. The only room that names FHIR input elements; it never raises on data.

read_documents(path | bytes | stream)  ->  read_records(documents, terminology, scope, problems)  ->  Record ...
read_prefetch(prefetch, patient, terminology, scope, asked, drafts)  ->  Record
"""

from engine.fhir.decode import Document, as_documents, read_documents
from engine.fhir.decode import decode as decode_json
from engine.fhir.prefetch import read_prefetch
from engine.fhir.problems import CODES
from engine.fhir.record import Scope, read_records

__all__ = [
    "CODES",
    "Document",
    "Scope",
    "as_documents",
    "decode_json",
    "read_documents",
    "read_prefetch",
    "read_records",
]

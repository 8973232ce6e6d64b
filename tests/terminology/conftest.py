from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.terminology import Terminology, load_terminology

VALUESETS = Path(__file__).resolve().parents[2] / "rulesets/neuromuscular/valuesets"

SMALL = {
    "systems.csv": """system,uri,traits,shape
fruit,http://fruit.example/codes,dotless hierarchic,"[A-Z]\\d\\d\\.?\\d{0,2}"
fruit,urn:oid:1.2.3.4.5,,
fruit,FRUIT-10,,
tree,http://tree.example,,
drug,http://drug.example,hierarchic,
mine,{base}:garden,,
""",
    "concepts.csv": """concept,carriers,system,code,display,match,use,answer,denied,region,sign,study,only,preferred
apple,condition,fruit,A10.1,Apple,,,,,,,,,y
citrus,condition,fruit,B20,Citrus,prefix,,,,,,,,
lemon,condition,fruit,B20.1,Lemon,,,,,,,,,
citrus,any,fruit,B20.4,Painted orange,prefix,exclude,,,,,,,
pear,condition,fruit,A10,,prefix,suspected,,,,,,,
quince,condition,fruit,A10,,prefix,suspected,,,,,,,
pear,condition,tree,77,Pear tree,,,,,,,,,
ripe,observation finding,tree,88,Ripe,,,soft,hard,north,red,,,
ripe,observation,mine,ripe,Ripeness,,,,,,,,,y
felled,observation procedure,tree,99,Felling,,,,,,,y,done,
""",
    "overlaps.csv": "overlap,with\npear,quince\n",
    "drugs.csv": """ingredient,system,code,route,match,use,preferred,display
cider,drug,C01,oral,prefix,,,
must,drug,C01A5,oral,,,y,Must
cider,drug,C01A6,,,minor,,
cider,drug,C01A7,topical,,exclude,,
,drug,C01A8,,,silent,,
""",
    "names.csv": """name,ingredient,use
cider,cider,
apple cider,cider,
apple cider vinegar,cider,exclude
must,must,
""",
    "answers.csv": "answer,system,code,display,preferred\nyes,tree,1,,y\npresent,tree,2,,\nabsent,tree,3,,\n",
    "codesets.csv": """codeset,value,system,code,preferred
side,left,mine,left,y
side,left,tree,L,
side,right,mine,right,y
""",
    "words.csv": """word,codeset,value,anywhere
Pas trouvé,answer,absent,
not found,answer,absent,
links,side,left,
by mouth,route,oral,y
ointment,route,topical,y
""",
    "units.csv": "unit,spelling\n10*3/uL,K/uL\nkg,kilo\nmm,millimetre\nMm,Mm\n",
    "context.csv": "context,system,code\nleaf,tree,5\n",
    "families.csv": "family,system\nZ9,fruit\n",
}


@pytest.fixture(scope="session")
def neuromuscular() -> Terminology:
    return load_terminology(VALUESETS)


@pytest.fixture
def write_valuesets(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small made-up terminology (or the given files alone) to a folder."""

    def write(name: str = "valuesets", **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file, text in (files or SMALL).items():
            (folder / (file if file.endswith(".csv") else f"{file}.csv")).write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def small(write_valuesets: Callable[..., Path]) -> Terminology:
    return load_terminology(write_valuesets())

"""A store has the patients of one tenant: two hospitals with one id see and purge nothing of each other."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from store_kit import kept, shown

from engine.cli import main
from engine.store import Store, StoreError


def test_a_store_is_that_of_the_tenant_who_came_first(lasting: Path | str, opened: Any) -> None:
    opened(Store, lasting, tenant="north").show([shown(patient="Patient/1")])
    for other in ("south", ""):
        with pytest.raises(StoreError, match=r"the tenant `north`.*give each tenant a folder") as refused:
            Store(lasting, tenant=other)
        assert f"is `{other}`" in str(refused.value)
    assert opened(Store, lasting, tenant="north").shown("c", "ehr")


def test_a_store_of_nobody_in_particular_becomes_that_of_who_names_a_tenant(lasting: Path | str, opened: Any) -> None:
    opened(Store, lasting).show([shown()])
    opened(Store, lasting)
    assert opened(Store, lasting, tenant="north").shown("c", "ehr")
    with pytest.raises(StoreError, match="the tenant `north`"):
        Store(lasting)


def test_of_two_who_come_at_once_one_gets_it(lasting: Path | str, opened: Any) -> None:
    opened(Store, lasting)
    said: list[str] = []

    def start(tenant: str) -> None:
        try:
            Store(lasting, tenant=tenant).close()
            said.append(tenant)
        except StoreError:
            said.append("")

    threads = [threading.Thread(target=start, args=(tenant,)) for tenant in ("north", "south")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(bool, said)) == [False, True]


def purged(monkeypatch: pytest.MonkeyPatch, capfd: Any, place: Path | str, tenant: str) -> tuple[int, str]:
    if isinstance(place, Path):
        monkeypatch.setenv("ENDPLATE_DATA", str(place.parent))
    else:
        monkeypatch.setenv("ENDPLATE_DATABASE", place)
    monkeypatch.setenv("ENDPLATE_TENANT", tenant)
    monkeypatch.setattr(sys, "argv", ["endplate", "store", "purge", "--patient", "1"])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    return int(str(ended.value.code)), out or err


def test_nobody_purges_a_patient_of_another_tenant(
    lasting: Path | str, opened: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    place = lasting.with_name("endplate.sqlite") if isinstance(lasting, Path) else lasting
    store = opened(Store, place, tenant="north")
    store.show([shown(patient="Patient/1")])
    for other in ("south", ""):
        code, said = purged(monkeypatch, capfd, place, other)
        assert code == 2
        assert "the tenant `north`" in said
    assert store.shown("c", "ehr")
    assert purged(monkeypatch, capfd, place, "north") == (0, "1 rows forgotten\n")
    assert not store.shown("c", "ehr")


def test_schemas_of_one_database_keep_two_hospitals_apart(
    on_postgresql: str, opened: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    server = create_engine(on_postgresql.replace("postgresql:", "postgresql+psycopg:", 1))
    places = {}
    for tenant in ("north", "south"):
        with server.begin() as connection:
            connection.execute(text(f"create schema {tenant}"))
        places[tenant] = f"{on_postgresql}?options=-csearch_path%3D{tenant}"
    server.dispose()
    stores = {tenant: opened(Store, place, tenant=tenant) for tenant, place in places.items()}
    for tenant, store in stores.items():
        store.remember([shown(patient="Patient/1", user=tenant)], [kept(patient="Patient/1", content=tenant.encode())])
    assert [store.kept("p", 0) for store in stores.values()] == [b"north", b"south"]
    assert stores["north"].secret("page") != stores["south"].secret("page")
    assert purged(monkeypatch, capfd, places["north"], "north") == (0, "2 rows forgotten\n")
    assert stores["north"].kept("p", 0) is None
    assert stores["south"].kept("p", 0) == b"south"

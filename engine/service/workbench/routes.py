"""All routes of the workbench."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from engine.service.state import Service
from engine.service.workbench.answer_routes import answer_routes
from engine.service.workbench.case_routes import HOME, case_routes
from engine.service.workbench.evaluation_routes import evaluation_routes
from engine.service.workbench.operations_routes import operations_routes
from engine.service.workbench.rule_routes import rule_routes
from engine.service.workbench.session import look_up
from engine.service.workbench.smart_routes import smart_routes
from engine.service.workbench.web import static_files


def workbench_routes(service: Service) -> APIRouter:
    """The routes of pages for people, and of the files that they load."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse(HOME, 307)

    router.include_router(static_files())
    router.include_router(smart_routes(service))
    router.include_router(case_routes(service), dependencies=[Depends(look_up)])
    router.include_router(answer_routes(service), dependencies=[Depends(look_up)])
    router.include_router(operations_routes(service), dependencies=[Depends(look_up)])
    router.include_router(rule_routes(service))
    router.include_router(evaluation_routes(service))
    return router

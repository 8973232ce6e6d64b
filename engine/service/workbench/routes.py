"""All routes of the workbench."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from engine.service.state import Service
from engine.service.workbench.case_routes import HOME, case_routes
from engine.service.workbench.web import static_files


def workbench_routes(service: Service) -> APIRouter:
    """The routes of pages for people, and of the files that they load."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse(HOME, 307)

    router.include_router(static_files())
    router.include_router(case_routes(service))
    return router

"""The command `endplate`. Imports are late: a command loads what it uses."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit code 2."""
    from engine.cli.app import app  # noqa: PLC0415
    from engine.errors import EndplateError, RulesetError  # noqa: PLC0415
    from engine.outputs.markdown import plain  # noqa: PLC0415

    try:
        app()
    except RulesetError as error:
        sys.stderr.write(f"{error}\nerror: the ruleset is refused: {len(error.faults)} faults\n")
        sys.exit(2)
    except EndplateError as error:
        sys.stderr.write(f"error: {plain(str(error))}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("ENDPLATE_DEBUG"):
            raise
        sys.stderr.write(
            f"error: a defect of Endplate ({type(error).__name__}); please report it. ENDPLATE_DEBUG=1 shows it, "
            "which may hold patient data\n"
        )
        sys.exit(70)

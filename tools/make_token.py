#!/usr/bin/env python3
"""For trying out: keys of an EHR, and a token for one address of the service (CDS Hooks 2.0.1, "Trusting CDS Clients").

    python tools/make_token.py keys [FOLDER]              writes public.json and private.json into the folder `keys`
    python tools/make_token.py token ADDRESS [FOLDER]     prints a token for that address, which can be used once

A real EHR has keys of its own and gives out the public ones alone.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "https://ehr.example.org"
ALGORITHM = "ES384"
LIFE = 300  # seconds


def write_keys(folder: Path) -> None:
    """A new key pair; the private one can be read by its owner alone."""
    folder.mkdir(parents=True, exist_ok=True)
    private = folder / "private.json"
    if private.exists():
        sys.exit(f"error: `{private}` exists: remove it if its tokens are no longer needed")
    key = ECKey.generate_key("P-384", {"kid": str(uuid.uuid4()), "alg": ALGORITHM, "use": "sig"})
    private.touch(mode=0o600)
    private.write_text(json.dumps(key.as_dict(private=True)), "utf-8")
    (folder / "public.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)), "utf-8")


def token(address: str, folder: Path) -> str:
    """A token for `address`, the full URL that is called."""
    key = ECKey.import_key(json.loads((folder / "private.json").read_text("utf-8")))
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": address, "iat": now, "exp": now + LIFE, "jti": str(uuid.uuid4())}
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}, claims, key, algorithms=[ALGORITHM])


def main(arguments: list[str]) -> None:
    match arguments:
        case ["keys", *folder]:
            write_keys(Path(*folder or ["keys"]))
        case ["token", address, *folder]:
            print(token(address, Path(*folder or ["keys"])))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

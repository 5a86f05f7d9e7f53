"""A small object store in the shape of WAYSCloud's storage API, to stand behind a gateway.

Buckets are folders of its root and objects are files in them. It knows no keys: whoever reaches it
was let through. Buckets are managed as JSON below /v1/storage/buckets, objects are put, read and
deleted at /v1/storage/{bucket}/{name}, and listings there are XML, as S3's are.

    python examples/upstreams/storage.py --root objects --port 9000
    curl -X POST http://127.0.0.1:9000/v1/storage/buckets -d '{"bucket_name": "photos"}'
    curl -T cat.jpg http://127.0.0.1:9000/v1/storage/photos/cat.jpg
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from xml.sax.saxutils import escape

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

TIERS = {"standard": "Read and written at any time", "archive": "Written once, seldom read"}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_RESERVED = frozenset({"buckets", "credentials", "tiers"})  # paths of the API itself


class Store:
    """The buckets below a folder; each has its object files and, beside it, what it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def create(self, name: str, tier: str) -> None:
        """Make a bucket; 400 for a name or tier that can't be, 409 for a name that is taken."""
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise HTTPException(400, f"{name!r}: 3 to 63 of a-z, 0-9 and - are a bucket's name")
        if tier not in TIERS:
            raise HTTPException(400, f"{tier!r} is no tier; there are {', '.join(TIERS)}")
        try:
            (self.root / name).mkdir()
        except FileExistsError:
            raise HTTPException(409, f"there is a bucket {name}") from None
        told = {"tier": tier, "created_at": datetime.now(UTC).isoformat()}
        (self.root / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")

    def delete(self, name: str) -> None:
        """Delete a bucket with all that is in it."""
        shutil.rmtree(self.bucket(name))
        (self.root / f"{name}.json").unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all buckets, in order."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir())

    def bucket(self, name: str) -> Path:
        """Return the folder of a bucket; 404 when there is none."""
        folder = self.root / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            raise HTTPException(404, f"there is no bucket {name}")
        return folder

    def object(self, bucket: str, name: str) -> Path:
        """Return the file of an object, there or not; 400 for a name that leads elsewhere."""
        parts = name.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise HTTPException(400, f"{name!r} is no object's name")
        return self.bucket(bucket).joinpath(*parts)

    def objects(self, bucket: str) -> dict[str, int]:
        """Return the size in bytes of every object of a bucket, by name in order."""
        folder = self.bucket(bucket)
        found = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(found)}

    def told(self, name: str) -> dict[str, Any]:
        """Return what the API tells of a bucket; 404 when there is none."""
        sizes = self.objects(name)
        note = self.root / f"{name}.json"  # a folder that somebody made by hand has none
        kept = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
        return {
            "bucket_name": name,
            "tier": kept.get("tier", "standard"),
            "is_active": True,
            "is_public": False,
            "total_storage_gb": round(sum(sizes.values()) / 1e9, 9),
            "total_objects": len(sizes),
            "created_at": kept.get("created_at"),
        }


class Api:
    """The routes over a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def buckets(self, request: Request) -> Response:
        """List the buckets, or make one."""
        if request.method == "GET":
            return JSONResponse([self.store.told(name) for name in self.store.names()])
        try:
            asked = json.loads(await request.body())
            name, tier = str(asked["bucket_name"]), str(asked.get("tier", "standard"))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise HTTPException(400, "an object with bucket_name is needed") from None
        self.store.create(name, tier)
        return JSONResponse(self.store.told(name), status_code=201)

    async def bucket(self, request: Request) -> Response:
        """Tell of a bucket, or delete it with all that is in it."""
        name = request.path_params["bucket"]
        if request.method == "GET":
            return JSONResponse(self.store.told(name))
        self.store.delete(name)
        return Response(status_code=204)

    async def tiers(self, _request: Request) -> Response:
        """List the tiers that a bucket can have."""
        return JSONResponse([{"name": name, "description": TIERS[name]} for name in TIERS])

    async def names(self, _request: Request) -> Response:
        """List the buckets as S3 does."""
        names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self.store.names())
        return _xml("ListAllMyBucketsResult", f"<Buckets>{names}</Buckets>")

    async def objects(self, request: Request) -> Response:
        """List a bucket's objects as S3 does; `prefix` keeps those that start with it."""
        name, prefix = request.path_params["bucket"], request.query_params.get("prefix", "")
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size></Contents>"
            for key, size in self.store.objects(name).items()
            if key.startswith(prefix)
        )
        return _xml("ListBucketResult", f"<Name>{name}</Name>{found}")

    async def object(self, request: Request) -> Response:
        """Put, read or delete an object."""
        path = self.store.object(request.path_params["bucket"], request.path_params["name"])
        if request.method == "PUT":
            with TemporaryFile() as file:  # what breaks off half-way replaces nothing
                async for piece in request.stream():
                    file.write(piece)
                file.seek(0)
                _keep(file, path)
            return Response()
        if not path.is_file():
            raise HTTPException(404, "there is no such object")
        if request.method == "DELETE":
            path.unlink()
            return Response(status_code=204)
        return FileResponse(path)


def application(root: Path) -> Starlette:
    """Return the ASGI application of a store in a folder, which is made when it is not there."""
    api = Api(Store(root))
    return Starlette(
        routes=[
            Route("/v1/storage/buckets", api.buckets, methods=["GET", "POST"]),
            Route("/v1/storage/buckets/{bucket}", api.bucket, methods=["GET", "DELETE"]),
            Route("/v1/storage/tiers", api.tiers, methods=["GET"]),
            Route("/v1/storage/", api.names, methods=["GET"]),
            Route("/v1/storage/{bucket}/", api.objects, methods=["GET"]),
            Route("/v1/storage/{bucket}/{name:path}", api.object, methods=["GET", "PUT", "DELETE"]),
        ],
        exception_handlers={HTTPException: _refused},
    )


def _keep(file: IO[bytes], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as kept:
            shutil.copyfileobj(file, kept)
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise HTTPException(409, "an object and a folder can't have one name") from None


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of that class alone
    code = HTTPStatus(error.status_code).name
    return JSONResponse({"error": error.detail, "code": code}, status_code=error.status_code)


def _xml(name: str, inner: str) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inner}</{name}>'
    return Response(text, media_type="application/xml")


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="A small object store.")
    parser.add_argument("--root", type=Path, required=True, help="the folder of the buckets")
    parser.add_argument("--port", type=int, default=9000)
    told = parser.parse_args()
    uvicorn.run(application(told.root), host="127.0.0.1", port=told.port, log_level="warning")


if __name__ == "__main__":
    main()

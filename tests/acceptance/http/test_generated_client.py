"""Clients that are generated from the manager's OpenAPI document compile, and make a round trip."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.sha512 import sha512
from tests.code_blocks import code_blocks

PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20.19.25")
OPTIONS = {
    "strict": True,
    "target": "es2022",
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "allowImportingTsExtensions": False,
    "types": ["node"],
    "outDir": "out",
}


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
@pytest.mark.timeout(300)
def test_a_generated_typescript_client_compiles_and_makes_a_round_trip(manager: ManagerProgram, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": ["generated.ts"]}))
    shutil.copy(Path(__file__).parent / "clients" / "generated.ts", tmp_path)

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "URL": manager.url},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES)
    # Fields that have a default need not be given.
    document = f"{manager.url}/openapi.json"
    run("npx", "openapi-typescript", document, "--default-non-nullable=false", "-o", "schema.d.ts")
    run("npx", "tsc")
    assert run("node", "out/generated.js").split() == ["201", "noop", "404", "canceled", "[]", "timeout"]


NEEDED = ("go", "java", "jq", "curl")


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}")
@pytest.mark.timeout(600)
def test_a_generated_go_client_compiles_and_makes_a_round_trip(manager: ManagerProgram, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.19\n")
    shutil.copy(Path(__file__).parent / "clients" / "generated.go", tmp_path / "main.go")
    venv = tmp_path / ".venv"
    environment = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}", "URL": manager.url, "GOPROXY": "off"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", str(venv))
    (block,) = (block for block in code_blocks("sh") if "-g go" in block.text)
    run("bash", "-euc", block.text.replace("http://127.0.0.1:5000", manager.url))
    run("go", "build", "-o", "main", ".")
    worker = subprocess.Popen([sys.executable, "-m", "workmanager", "worker", "--redis-url", manager.redis_url])
    try:
        assert run("./main").splitlines() == [
            "200 32",
            "noop default",
            f"true {sha512(b'a file', 3)}",
            "404 The job does not exist",
        ]
    finally:
        worker.terminate()
        worker.wait(30)

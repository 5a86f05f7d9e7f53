"""`latchgate scan`, as a program: files, standard input, git; no server, no configuration."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.test_leaks import KNOWN, SECRETS
from tests.world import LATCHGATE, environment, latchgate

from latchgate.cli import sources
from latchgate.cli.sources import Source, hits, named
from latchgate.core.leaks import OVERLAP, Finder

ROOT = Path(__file__).parents[2]
KEY_KIND = "wayscloud.service_key"
KEY = SECRETS[KEY_KIND]
LIKELY = SECRETS["upcloud.api_token"]
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


def git(folder, *arguments, code=0, **env):
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environment(**GIT) | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder


def lines(run):
    return [line.partition(": ")[0] for line in run.out.splitlines()]


def test_files_and_folders_are_scanned_and_the_secret_is_never_printed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "code.py").write_text(f"x = 1\nkey = '{KEY}'\n")
    (tmp_path / "b.bin").write_bytes(os.urandom(99).replace(b"\n", b"") + KEY.encode() + b"\0")
    (tmp_path / "c.log").write_text(f"Basic {base64.b64encode(f'u:{KEY}'.encode()).decode()}\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "kept").write_text(KEY)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "fine.txt").write_text(f"{KEY}  # latchgate:allow\n")
    run = latchgate("scan", ".", cwd=tmp_path)
    assert (run.code, run.err) == (1, "")
    assert [one.partition(":")[0] for one in lines(run)] == ["a/code.py", "b.bin", "c.log"]
    assert lines(run)[0] == "a/code.py:2:8"
    assert KEY.rpartition("_")[2] not in run.out
    assert latchgate("scan", "fine.txt", cwd=tmp_path).code == 0


def test_standard_input_is_read_as_it_comes(tmp_path):
    run = latchgate("scan", "-", "--json", stdin=f"a\nb {LIKELY}\n".encode(), cwd=tmp_path)
    (one,) = run.json["findings"]
    assert (one["path"], one["line"], one["column"], one["grade"]) == ("-", 2, 3, "likely")
    sure = latchgate("scan", "-", "--grade", "certain", stdin=LIKELY.encode(), cwd=tmp_path)
    assert (sure.code, sure.out) == (0, "")


def test_what_cant_be_read_is_named_and_ends_with_2(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("nowhere", "pipe"):
        run = latchgate("scan", path, cwd=tmp_path)
        assert run.code == 2
        assert path in run.err
    (tmp_path / "key").write_text(KEY)
    both = latchgate("scan", "key", "nowhere", cwd=tmp_path)
    assert (both.code, "nowhere" in both.err) == (1, True)
    assert latchgate("scan", cwd=tmp_path).code == 2


def test_links_loops_and_faults_in_the_middle_are_told_and_the_rest_is_read(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "key").write_text(KEY)
    run = latchgate("scan", ".", "--json", cwd=tmp_path)
    assert (run.code, run.json["unread"]) == (1, [])
    assert [one["path"] for one in run.json["findings"]] == ["key"]
    # A file that opens, and can't be read; a link in a circle; standard input that breaks.
    bad = latchgate("scan", "/proc/self/mem", "loop", cwd=tmp_path)
    assert (bad.code, bad.out) == (2, "")
    assert [line.split(": ")[1] for line in bad.err.splitlines()] == ["/proc/self/mem", "loop"]
    with Path("/proc/self/mem").open("rb") as memory:
        done = subprocess.run(
            [*LATCHGATE, "scan", "-", "up/d/../loop", "--format", "json"],
            stdin=memory,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            check=False,
            timeout=60,
        )
    unread = [one.partition(":")[0] for one in json.loads(done.stdout)["unread"]]
    assert (done.returncode, unread) == (2, ["-", "up/d/../loop"])


def test_folders_may_be_nested_deeper_than_python_calls_itself(tmp_path):
    deep = tmp_path / "deep"
    try:
        deep.mkdir()
        for _ in range(1_100):
            deep /= "d"
            deep.mkdir()
        (deep / "key").write_text(KEY)
        run = latchgate("scan", "deep", "--json", cwd=tmp_path)
        assert [one["path"] for one in run.json["findings"]] == ["deep/" + "d/" * 1_100 + "key"]
    finally:
        # Neither pytest nor shutil can take it away.
        subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True, timeout=60)


def test_formats_for_programs(tmp_path):
    (tmp_path / "a ü.txt").write_text(KEY)
    lined = latchgate("scan", ".", "--format", "jsonl", cwd=tmp_path)
    assert json.loads(lined.out)["kind"] == "wayscloud.service_key"
    told = latchgate("scan", ".", "--format", "sarif", cwd=tmp_path).json
    (run,) = told["runs"]
    (result,) = run["results"]
    assert (told["version"], result["level"], result["ruleId"]) == (
        "2.1.0",
        "error",
        "wayscloud.service_key",
    )
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "a%20%C3%BC.txt"
    assert location["region"] == {"startLine": 1, "startColumn": 1}


def test_a_baseline_leaves_out_what_is_known(tmp_path):
    (tmp_path / "old.txt").write_text(KEY)
    written = latchgate("scan", "old.txt", "--write-baseline", "known", cwd=tmp_path)
    assert written.code == 0
    assert KEY not in (tmp_path / "known").read_text()
    (tmp_path / "new.txt").write_text(LIKELY)
    run = latchgate("scan", ".", "--baseline", "known", cwd=tmp_path)
    assert [one.partition(":")[0] for one in lines(run)] == ["new.txt"]
    assert latchgate("scan", ".", "--baseline", "none", cwd=tmp_path).code == 2
    # Written anew, it keeps what it knew and is still there.
    both = ("--baseline", "known", "--write-baseline", "known")
    assert latchgate("scan", ".", *both, cwd=tmp_path).code == 0
    assert latchgate("scan", ".", "--baseline", "known", cwd=tmp_path).code == 0


def test_policy_files_say_which_brands_are_ours(tmp_path):
    from latchgate import providers

    text = providers.text("wayscloud.toml").replace('brand = "wayscloud"', 'brand = "acme"')
    (tmp_path / "wayscloud.toml").write_text(text)
    imported = "acme_storage_abc123_" + "Zx9kQ2wL7mT4vB8nR1c"
    given = imported.encode()
    found = latchgate("scan", "-", "--policy", "wayscloud.toml", stdin=given, cwd=tmp_path)
    assert found.code == 1
    assert latchgate("scan", "-", stdin=given, cwd=tmp_path).code == 0
    (tmp_path / "wayscloud.toml").write_text("provider = 1")
    wrong = latchgate("scan", "-", "--policy", "wayscloud.toml", cwd=tmp_path)
    assert (wrong.code, "wayscloud.toml:1" in wrong.err) == (2, True)


def test_it_runs_without_what_only_the_server_needs(tmp_path):
    (tmp_path / "a").write_text(KEY)
    names = ("sqlalchemy", "starlette", "uvicorn", "cryptography", "joserfc", "httpx2", "jinja2")
    blocked = f"import sys; sys.modules.update(dict.fromkeys({names!r}))"
    program = f"{blocked}; from latchgate.cli import main; main(['scan', 'a'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")


class Chunks:
    """Gives bytes in pieces of its own, as a pipe does."""

    def __init__(self, data, sizes):
        self.data, self.sizes = data, sizes

    def read(self, size):
        size = min(size, next(self.sizes))
        chunk, self.data = self.data[:size], self.data[size:]
        return chunk


@pytest.mark.parametrize("lead", [0, 1, OVERLAP - 7, 2 * OVERLAP - 30, 3 * OVERLAP + 2])
def test_a_secret_across_the_border_of_windows_is_found_once(lead):
    def sizes():
        while True:
            yield from (OVERLAP + 1, 7, 3 * OVERLAP, 1)

    token = SECRETS["kakaocloud.project_token"].encode()
    blob = base64.b64encode(os.urandom(3 * (lead // 3)) + b"\n\n\n" + token + b"\n" + b"x" * 99_000)
    padded = b"\n" * lead + KEY.encode() + b"\n" * 3 * OVERLAP
    for data, kind in ((padded, "wayscloud.service_key"), (blob, "kakaocloud.project_token")):
        found = list(hits(Finder(KNOWN), Source("x", Chunks(data, sizes()))))
        assert [one.finding.kind for one in found] == [kind]
    found = list(hits(Finder(KNOWN), Source("x", Chunks(b"\n" * lead + KEY.encode(), sizes()))))
    assert (found[0].line, found[0].column) == (lead + 1, 1)


def test_lines_are_counted_right_however_many_findings_a_file_has():
    data = b"\n".join([KEY.encode()] * 3_000)
    found = list(hits(Finder(KNOWN), Source("x", io.BytesIO(data))))
    assert [(one.line, one.column) for one in found] == [(at, 1) for at in range(1, 3_001)]


def test_what_the_next_commit_brings_is_read_from_the_index(repository):
    (repository / "a\nb").write_text(KEY)
    (repository / "gone").write_text(KEY)
    git(repository, "add", "-A")
    (repository / "a\nb").write_text("mended, but not added")
    (repository / "not added").write_text(LIKELY)
    run = latchgate("scan", "--staged", "--json", cwd=repository)
    assert run.code == 1
    assert sorted(one["path"] for one in run.json["findings"]) in (["a\nb"], ["gone"])
    git(repository, "add", "-A")
    git(repository, "rm", "-q", "--cached", "gone", "not added")
    assert latchgate("scan", "--staged", cwd=repository).code == 0


def test_history_names_the_first_commit_and_its_path(repository):
    (repository / "keys.txt").write_text(f"\n{KEY}\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "first")
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "mv", "keys.txt", "moved.txt")
    git(repository, "commit", "-qm", "second")
    (repository / "moved.txt").write_text("gone")
    git(repository, "commit", "-qam", f"removed {LIKELY}")
    last = git(repository, "rev-parse", "HEAD")
    assert latchgate("scan", ".", cwd=repository).code == 0
    found = latchgate("scan", "--git-history", "--json", cwd=repository).json["findings"]
    assert [(one["commit"], one["path"], one["line"]) for one in found] == [
        (last, "(commit message)", found[0]["line"]),
        (first, "keys.txt", 2),
    ]


def test_packed_objects_renames_and_what_no_branch_has_are_read(repository):
    """Whoever clones a repository gets its packs; what was taken back is in it still."""
    (repository / "a.bin").write_bytes(b"\0\xff" * 9_999 + b"\n" + KEY.encode() + b"\0")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "first")
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-qb", "side")
    (repository / "b").write_text(SECRETS["upcloud.app_password"])
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "on a branch that goes")
    git(repository, "tag", "-a", "v1", "-m", f"a tag with {SECRETS['latchgate.service_key']}")
    git(repository, "checkout", "-q", "main")
    git(repository, "mv", "a.bin", "c.bin")
    git(repository, "commit", "-qm", "renamed")
    (repository / "d").write_text(LIKELY)
    git(repository, "add", "-A")
    git(repository, "reset", "-q", "--hard")
    git(repository, "branch", "-qD", "side")
    git(repository, "pack-refs", "--all")
    git(repository, "repack", "-qadk")
    assert not list(repository.glob(".git/refs/heads/*"))
    found = latchgate("scan", "--git-history", "--json", cwd=repository).json["findings"]
    told = {one["kind"]: (one["commit"], one["path"].partition(" ")[0]) for one in found}
    side = git(repository, "rev-parse", "v1^{commit}")
    assert told == {
        KEY_KIND: (first, "a.bin"),
        "upcloud.app_password": (side, "b"),
        "latchgate.service_key": (None, "(tag"),
        "upcloud.api_token": (None, "(object"),
    }


def test_a_repository_that_is_broken_or_no_git_at_all_ends_with_2(repository, tmp_path):
    (repository / "a").write_text("one")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "first")
    (blob,) = (one for one in repository.glob(".git/objects/??/*") if one.stat().st_size < 30)
    blob.chmod(0o600)
    blob.write_bytes(b"rubbish")
    broken = latchgate("scan", "--git-history", cwd=repository)
    assert (broken.code, "Traceback" in broken.err) == (2, False)
    assert blob.name in broken.err
    (tmp_path / "none").mkdir()
    gone = latchgate("scan", "--git-history", cwd=repository, env={"PATH": str(tmp_path / "none")})
    assert (gone.code, "git can't be run" in gone.err) == (2, True)


def test_no_repository_is_an_error_with_gits_own_words(tmp_path):
    for option in ("--staged", "--git-history", "--install-hook"):
        run = latchgate("scan", option, cwd=tmp_path, env={"GIT_CEILING_DIRECTORIES": "/"})
        assert run.code == 2
        assert "not a git repository" in run.err


def test_the_hook_refuses_a_commit_and_never_replaces_another_hook(repository, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "latchgate"
    program.write_text("#!/bin/sh\nexec " + " ".join(f"'{part}'" for part in LATCHGATE) + ' "$@"\n')
    program.chmod(0o755)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    for _ in range(2):
        assert latchgate("scan", "--install-hook", cwd=repository).code == 0
    (repository / "a.txt").write_text(KEY)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "leaky", code=1, **path)
    (repository / "a.txt").write_text("nothing")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "fine", **path)
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\n")
    run = latchgate("scan", "--install-hook", cwd=repository)
    assert (run.code, "is there already" in run.err) == (2, True)
    assert hook.read_text() == "#!/bin/sh\n"


def test_the_hook_for_pre_commit_calls_a_verb_that_there_is():
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    (entry,) = re.findall(r"^  entry: (.*)$", text, re.MULTILINE)
    assert entry == sources.HOOK.splitlines()[-1].removeprefix("exec ")
    wanted = set(re.findall(r'"(click[^"]*|rich-click[^"]*)"', text))
    assert wanted <= set(re.findall(r'"([^"]+)"', (ROOT / "pyproject.toml").read_text()))


def test_names_that_are_no_text_are_shown_all_the_same(tmp_path):
    (tmp_path / os.fsdecode(b"a\xff\x1b[31m")).write_text(KEY)
    run = latchgate("scan", ".", cwd=tmp_path)
    assert run.code == 1
    assert "\x1b" not in run.out
    assert named(b"\xff") == "\ufffd"


def test_this_repository_holds_no_secret_of_ours():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    ).stdout
    files = [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    run = latchgate("scan", "--baseline", ".latchgate-known", *files, cwd=ROOT)
    assert (run.code, run.out) == (0, ""), run.out + run.err

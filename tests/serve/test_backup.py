"""`backup` and `restore`: what is written is sound, and what is put back begins a new epoch."""

from __future__ import annotations

import json
import secrets
import shutil
import tarfile
import time
from contextlib import closing

import pytest
import sqlalchemy as sa
from tests.manage.journals import alter
from tests.minting import client
from tests.world import FILES, World, asking, chain_faults, compiled, file_of, mode, raw_rows

from latchgate.config import load
from latchgate.core.model import Noun
from latchgate.core.reason import Reason
from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.manage import audit, oauth_clients, signing_keys
from latchgate.manage.chain import verify_database
from latchgate.manage.oauth_clients import ClientPatch
from latchgate.serve import backup as backups
from latchgate.serve.backup import BackupError, back_up, look
from latchgate.serve.restore import restore
from latchgate.serve.upgrade import UpgradeError
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.journal import Actor
from latchgate.store.migrate import migrate
from latchgate.store.sqlite import connect


class Place:
    """A configuration over a database with keys, a master key and signing keys."""

    def __init__(self, folder):
        self.folder = folder
        self.world = World(folder)
        (folder / "latchgate.toml").write_text("")
        self.config = load(folder / "latchgate.toml")
        key = master.create(self.config.master_key, secrets.token_bytes)
        actor = Actor(name="local:test", tenant_id=None)
        signing_keys.ensure(self.world.store, actor, key, entropy=secrets.token_bytes)
        self.file = folder / "b.tar"

    def back_up(self, **told):
        return back_up(self.config, self.file, **{"usage": False, "with_master_key": False} | told)

    def restore(self, **told):
        asked = {"usage": False, "narrowing": False, "dry_run": False} | told
        return restore(self.config, self.file, who="me", **asked)

    def head(self):
        return audit.head(self.world.store, self.config.master_key, now=time.time())

    def left(self):
        """What is in the folder, but for what any use of a database leaves beside it."""
        return {
            one.name for one in self.folder.iterdir() if not one.name.endswith(("-wal", "-shm"))
        }


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.world.close()


def test_a_backup_is_one_private_file_that_says_what_it_holds(place):
    before = place.left()
    made = place.back_up()
    assert place.left() == before | {"b.tar", "latchgate.db-bell"}
    assert mode(place.file) == 0o600
    assert (made.n, made.head.n) == (place.world.head(), place.world.head())
    assert [part.name for part in made.parts] == ["latchgate.db"]
    with look(place.file, within=place.folder) as looked:
        assert looked.manifest == made
        assert looked.report.sound
        assert not (looked.folder / "latchgate.db-wal").exists()
    with tarfile.open(place.file) as archive:
        assert archive.getnames() == ["manifest.json", "latchgate.db"]
    key = place.config.master_key.read_bytes().strip()
    assert key not in place.file.read_bytes()


def test_usage_and_the_master_key_come_along_when_asked_for(place):
    made = place.back_up(usage=True, with_master_key=True)
    assert [one.name for one in made.parts] == ["latchgate.db", "latchgate-usage.db", "master.key"]
    assert place.config.master_key.read_bytes() in place.file.read_bytes()


def test_a_backup_overwrites_nothing(place):
    place.file.write_text("mine")
    with pytest.raises(FileExistsError):
        place.back_up()
    assert place.file.read_text() == "mine"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(place, monkeypatch):
    written = backups._write

    def slow(*told):
        written(*told)
        place.file.write_text("mine")

    monkeypatch.setattr(backups, "_write", slow)
    with pytest.raises(FileExistsError):
        place.back_up()
    assert place.file.read_text() == "mine"


@pytest.mark.parametrize("at", ["copied", "_write", "look", "appear"])
def test_a_fault_on_the_way_leaves_nothing(place, monkeypatch, at):
    place.back_up()
    place.file.unlink()
    before = place.left()

    def full(*_told, **_named):
        raise OSError(28, "No space left on device", str(place.file))

    monkeypatch.setattr(backups, at, full)
    with pytest.raises(OSError, match="No space left"):
        place.back_up()
    assert place.left() == before


def test_a_damaged_database_is_not_backed_up(place):
    place.world.key()
    alter(place.config.database, "DELETE FROM account")
    with pytest.raises(StoreError, match="is damaged"):
        place.back_up()
    assert not place.file.exists()


def test_a_journal_that_does_not_hold_is_not_backed_up(place):
    alter(place.config.database, "UPDATE journal SET actor = 'x' WHERE n = 2")
    with pytest.raises(BackupError, match="at number 2: was altered"):
        place.back_up()
    assert not place.file.exists()


def test_without_a_master_key_a_backup_says_that_nobody_signed_it(place):
    place.config.master_key.unlink()
    made = place.back_up()
    assert made.head is None
    assert "is not there" in made.unsigned
    place.file.unlink()
    with pytest.raises(KeyringError):
        place.back_up(with_master_key=True)
    assert not place.file.exists()


def content(archive, name):
    opened = archive.extractfile(name)
    assert opened is not None
    return opened.read()


def rewritten(file, change):
    """Write an archive anew with other members; `change` is given (name, content) pairs."""
    with tarfile.open(file) as archive:
        members = [(one.name, content(archive, one.name)) for one in archive.getmembers()]
    with tarfile.open(file, "w") as archive:
        for name, written in change(members):
            entry = tarfile.TarInfo(name)
            entry.size = len(written)
            path = file.with_name("part")
            path.write_bytes(written)
            with path.open("rb") as opened:
                archive.addfile(entry, opened)


def told(members, **change):
    manifest = json.loads(members[0][1]) | change
    return [("manifest.json", json.dumps(manifest).encode()), *members[1:]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda all_: all_[:1], "latchgate.db is not there"),
        (lambda all_: all_[1:], "does not begin with manifest.json"),
        (lambda all_: [*all_, ("more", b"x")], "holds more"),
        (lambda all_: [*all_, ("../x", b"x")], "holds more"),
        (lambda all_: [all_[0], ("latchgate.db", all_[1][1][:-1] + b"x")], "SHA-256 is another"),
        (lambda all_: [all_[0], ("latchgate.db", all_[1][1][:-1])], "not there as its manifest"),
        (lambda all_: told(all_, format="x"), "its format is 'x'"),
        (lambda all_: told(all_, more=1), "unknown field"),
        (lambda all_: told(all_, schema="9999"), "a newer latchgate made it"),
        (lambda all_: told(all_, parts=[]), "not the parts of a backup"),
        (lambda all_: told(all_, n=1), "names another journal"),
        (lambda all_: told(all_, epoch="x"), "names another journal"),
        (lambda all_: told(all_, head={}), "no backup of Latchgate's"),
        (lambda all_: [("manifest.json", b"\xff"), *all_[1:]], "no backup of Latchgate's"),
        (lambda all_: [("manifest.json", b"[]"), *all_[1:]], "no backup of Latchgate's"),
    ],
)
def test_what_was_done_to_a_backup_is_told(place, change, why):
    place.back_up()
    rewritten(place.file, change)
    with pytest.raises(BackupError, match=why), look(place.file, within=place.folder):
        pass
    assert not list(place.folder.glob(".latchgate-*"))


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 10_240, b"SQLite format 3\0" * 100])
def test_what_is_no_backup_is_told(place, content):
    place.file.write_bytes(content)
    with pytest.raises(BackupError, match="is no backup"), look(place.file, within=place.folder):
        pass


def test_a_cut_backup_is_told(place):
    place.back_up()
    whole = place.file.read_bytes()
    place.file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackupError, match="is no backup"), look(place.file, within=place.folder):
        pass


def test_a_part_that_is_a_link_is_not_followed(place):
    place.back_up()
    with tarfile.open(place.file) as archive:
        first = content(archive, "manifest.json")
    place.folder.joinpath("m").write_bytes(first)
    with tarfile.open(place.file, "w") as archive:
        archive.add(place.folder / "m", "manifest.json")
        link = tarfile.TarInfo("latchgate.db")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BackupError, match="not there as"), look(place.file, within=place.folder):
        pass


def test_a_restore_takes_back_what_happened_since_under_a_new_epoch(place):
    world = place.world
    early = world.key()
    kept = place.head()
    place.back_up()
    late = world.key()
    world.revoke(early)
    later, n = place.head(), world.head()
    done = place.restore()
    assert done.kept.name.endswith("-replaced")
    assert raw_rows(done.kept, "SELECT n FROM journal_head") == [(n,)]
    assert [one.record for one in done.replaced.lost] == [late.id, early.id]
    assert chain_faults(place.config.database) == []
    row = world.journal()[-1]
    assert (row.action, row.noun, row.actor) == ("database.restore", "database", "local:me")
    told = json.loads(row.detail)
    assert told["epoch"] == {"before": kept.epoch, "after": done.epoch}
    assert told["replaced"] == {"epoch": kept.epoch, "n": n, "hash": later.hash}
    assert place.head().epoch == done.epoch != kept.epoch
    engine = world.engine()
    assert engine.decide(asking(early)).allowed
    assert engine.decide(asking(late)).reason is Reason.CREDENTIAL_UNKNOWN
    # A head from before the backup still proves what it proved, a later one tells what is gone.
    assert verify_database(place.config.database, against=kept).sound
    report = verify_database(place.config.database, against=later)
    assert not report.sound
    assert "an older copy was restored" in report.faults[0].problem
    assert f"the rows up to {kept.n}" in report.faults[0].problem


def test_nobody_stays_signed_in_over_a_restore(place):
    world, now = place.world, time.time()
    made, cookie = session.begin(
        world.store,
        user_id=world.owner.user_id,
        tenant_id=world.owner.tenant_id,
        methods=("pwd",),
        address=None,
        agent="",
        now=now,
        entropy=secrets.token_bytes,
    )
    place.back_up()
    session.end(world.store, made.id, now)
    place.restore()
    assert session.resume(world.store, cookie.reveal(), now=now) is None


def test_a_verifier_that_was_ahead_believes_nothing_old(place, monkeypatch):
    """Rule 15: should one run all the same, a new epoch empties it whatever the numbers are."""
    world = place.world
    key = world.key()
    place.back_up()
    world.revoke(key)
    engine = world.engine()
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED
    with pytest.raises(UpgradeError, match="is in use by process"):
        place.restore()
    monkeypatch.setattr("latchgate.serve.restore.refuse_while_used", lambda *_told: None)
    done = place.restore()
    assert engine.decide(asking(key)).allowed
    assert engine.position == done.n
    world.revoke(key)
    assert engine.decide(asking(key)).reason is Reason.CREDENTIAL_REVOKED


def test_a_dry_run_changes_nothing(place):
    place.back_up()
    key = place.world.key()
    before = place.left()
    done = place.restore(dry_run=True)
    assert [one.record for one in done.replaced.lost] == [key.id]
    assert place.left() == before
    assert place.head().epoch == done.manifest.epoch


def test_a_backup_that_is_not_sound_replaces_nothing(place):
    place.back_up()
    place.world.key()
    n = place.world.head()
    with place.file.open("r+b") as file:
        file.seek(20_000)
        file.write(b"other bytes than those")
    before = place.left()
    with pytest.raises(BackupError, match="SHA-256"):
        place.restore()
    assert (place.left(), place.world.head()) == (before, n)


def test_a_fault_while_replacing_leaves_what_was_there(place, monkeypatch):
    place.back_up()
    place.world.key()
    n, before = place.world.head(), place.left()

    def full(*_told):
        raise StoreError("disk full")

    monkeypatch.setattr("latchgate.serve.restore.put_in_place", full)
    with pytest.raises(StoreError, match="disk full"):
        place.restore()
    assert (place.left(), place.world.head()) == (before, n)


def test_on_a_new_machine_the_file_and_its_master_key_are_enough(place, tmp_path_factory):
    key = place.world.key()
    place.back_up(usage=True, with_master_key=True)
    folder = tmp_path_factory.mktemp("new")
    (folder / "latchgate.toml").write_text("")
    config = load(folder / "latchgate.toml")
    done = restore(config, place.file, who="me", usage=False, narrowing=False, dry_run=False)
    assert (done.replaced, done.kept, done.unsigned) == (None, None, None)
    assert (done.usage, done.master_key) == (True, config.master_key)
    for made in (config.database, config.usage_database, config.master_key):
        assert mode(file_of(made)) == 0o600
    world = World.__new__(World)
    world.database = config.database
    world._attach(time.time)
    try:
        assert world.engine().decide(asking(key)).allowed
    finally:
        world.close()


def test_a_database_that_cannot_be_read_is_moved_aside(place):
    key = place.world.key()
    place.back_up()
    place.world.close()
    place.config.database.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(BackupError, match="nothing to replay"):
        place.restore(narrowing=True)
    done = place.restore()
    assert done.replaced.unreadable is not None
    assert done.kept.read_bytes().startswith(b"not a database")
    place.world._attach(time.time)
    assert place.world.engine().decide(asking(key)).allowed


def test_what_was_narrowed_since_is_narrowed_again_when_asked_for(place):
    world = place.world
    names = ("stays", "revoked", "disabled", "scopes", "ends", "issues", "rules")
    keys = {name: world.key() for name in names}
    suspended, left = world.somebody(), world.somebody()
    of_suspended, of_left = world.key(owner=suspended), world.key(owner=left)
    place.back_up()
    credential = schema.credential

    def alter_key(name, **values):
        told = sa.update(credential).where(credential.c.id == keys[name].id).values(**values)
        world.change(Noun.CREDENTIAL, keys[name].id, told)

    world.revoke(keys["revoked"])
    alter_key("disabled", disabled_at=1.0)
    alter_key("scopes", scopes='["storage:write"]')
    alter_key("ends", expires_at=2.0)
    alter_key("issues", issues=False)
    alter_key("rules", access_rules="[]")
    tenant = schema.tenant
    world.change(
        Noun.TENANT,
        suspended.tenant_id,
        sa.update(tenant).where(tenant.c.id == suspended.tenant_id).values(active=False),
    )
    roles = schema.role_assignment
    world.change(Noun.USER, left.user_id, sa.delete(roles).where(roles.c.user_id == left.user_id))
    late = world.key()
    done = place.restore(narrowing=True)
    narrowed = ("revoked", "disabled", "scopes", "ends", "issues", "rules")
    assert {(one.noun, one.record) for one in done.narrowed} == {
        *(("credential", keys[name].id) for name in narrowed),
        ("tenant", suspended.tenant_id),
        ("user", left.user_id),
    }
    assert chain_faults(place.config.database) == []
    engine = world.engine()
    reasons = {name: engine.decide(asking(key)).reason for name, key in keys.items()}
    assert reasons == {
        "stays": Reason.ALLOWED,
        "revoked": Reason.CREDENTIAL_REVOKED,
        "disabled": Reason.CREDENTIAL_DISABLED,
        "scopes": Reason.SCOPE_NOT_GRANTED,
        "ends": Reason.CREDENTIAL_EXPIRED,
        "issues": Reason.ALLOWED,
        "rules": Reason.ACCESS_RULE_MISSING,
    }
    for key in (of_suspended, of_left):
        assert not engine.decide(asking(key)).allowed
    assert engine.decide(asking(late)).reason is Reason.CREDENTIAL_UNKNOWN


def test_what_was_taken_from_clients_since_is_taken_again(place):
    world = place.world
    policy = compiled(FILES, 1)
    operator = world.acting(world.admin)
    narrowed, withdrawn = (client(world, policy) for _ in range(2))
    kept = f"{world.owner.user_id}:{narrowed.id}"
    for made in (narrowed, withdrawn):
        row = {"id": f"{world.owner.user_id}:{made.id}", "user_id": world.owner.user_id}
        row |= {"client_id": made.id, "scopes": "[]", "given_at": 1.0, "version": 0}
        world.change(Noun.CONSENT, row["id"], sa.insert(schema.consent).values(**row))
    place.back_up()
    patch = ClientPatch(scopes=["openid"], redirect_uris=["https://new.example/cb"])
    oauth_clients.change_client(world.store, policy, operator, narrowed.id, patch)
    oauth_clients.withdraw(world.store, policy, operator, withdrawn.id)
    done = place.restore(narrowing=True)
    assert {(one.noun, one.record, *one.what) for one in done.narrowed} == {
        ("oauth_client", narrowed.id, "redirect_uris", "scopes"),
        ("oauth_client", withdrawn.id, "disabled_at", "withdrawn_at"),
        ("application_key", withdrawn.secrets[0].id, "revoked_at"),
        ("consent", f"{world.owner.user_id}:{withdrawn.id}", "withdrawn"),
    }
    after = oauth_clients.shown(world.store, policy, narrowed.id, now=world.clock())
    assert (after.scopes, after.redirect_uris) == (["openid"], [])  # nothing is made anew
    assert [one.id for one in world.all(sa.select(schema.consent.c.id))] == [kept]


def test_another_installations_journal_is_not_replayed(place, tmp_path_factory):
    place.back_up()
    other = Place(tmp_path_factory.mktemp("other"))
    alter(file_of(other.config.database), "UPDATE journal SET hash = randomblob(32)")
    shutil.copy(place.file, other.file)
    try:
        with pytest.raises(BackupError, match="nothing to replay"):
            other.restore(narrowing=True)
        assert other.restore().replaced.related is False
    finally:
        other.world.close()


def test_a_backup_of_an_older_schema_is_migrated_on_its_way(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    database = folder / "latchgate.db"
    migrate(database, "main", revision="0003")
    with closing(connect(database, durable=True)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        (epoch,) = connection.execute("SELECT epoch FROM journal_head").fetchone()
    part = backups.Part(backups.MAIN, database.stat().st_size, backups._digest(database))
    manifest = backups.Manifest(
        format=backups.FORMAT,
        program="0",
        schema="0003",
        at="2026-01-01T00:00:00Z",
        epoch=epoch,
        n=0,
        hash=bytes(32).hex(),
        head=None,
        unsigned="no key",
        parts=[part],
    )
    backups._write(place.file, manifest, [database])
    done = place.restore()
    assert done.n == 1
    assert chain_faults(place.config.database) == []


def test_files_of_policy_come_back_with_the_database(place):
    place.back_up()
    place.world.publish({"other.toml": "x"})
    place.restore()
    (row,) = place.world.all(sa.select(schema.policy_version.c.files))
    assert json.loads(row.files) == FILES


def test_who_was_signed_in_signs_in_again_and_a_removed_passkey_stays_removed(place):
    world = place.world
    user = world.somebody()
    session, authenticator = schema.session, schema.authenticator
    with world.store.writing() as connection:
        connection.execute(
            sa.insert(session).values(
                id="ses-1",
                digest=b"d" * 32,
                user_id=user.user_id,
                tenant_id=user.tenant_id,
                created_at=1.0,
                seen_at=1.0,
                expires_at=9e9,
                auth_time=1.0,
                methods="[]",
                agent="",
            )
        )
        connection.execute(
            sa.insert(schema.oauth_refresh).values(
                digest=b"r" * 32,
                grant_id="og-1",
                client_id="lgc-1",
                scopes="[]",
                created_at=1.0,
                expires_at=9e9,
            )
        )
        for named in ("kept", "lost"):
            connection.execute(
                sa.insert(authenticator).values(
                    id=named,
                    user_id=user.user_id,
                    sort="passkey",
                    name=named,
                    handle=named.encode(),
                    counter=0,
                    created_at=1.0,
                    version=1,
                )
            )
    place.back_up()
    with world.store.writing() as connection:
        connection.execute(sa.delete(authenticator).where(authenticator.c.id == "lost"))
    done = place.restore(narrowing=True)
    assert [(one.noun, one.record) for one in done.narrowed] == [("authenticator", "lost")]
    with closing(connect(place.config.database, durable=True)) as connection:
        signed_in = connection.execute("SELECT COUNT(*) FROM session").fetchone()
        left = connection.execute("SELECT COUNT(*) FROM oauth_refresh").fetchone()
        known = connection.execute("SELECT id FROM authenticator").fetchall()
    assert (signed_in, left, known) == ((0,), (0,), [("kept",)])

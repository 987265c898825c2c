"""What the doctor looks at: each check says what it found, and the fix where something is wrong.

The checks use no `Network`: they have to work where one cannot even start.
"""

import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from chittycan.catalogue import Catalogue
from chittycan.clock import spoken
from chittycan.config import CONFIG_FILE, MODELS_FILE, Settings, data_folder, database_url, folder, load
from chittycan.errors import ChittyError
from chittycan.providers.discovery import PORTS, Endpoint
from chittycan.providers.registry import EMBEDDED, LOCAL

if TYPE_CHECKING:
    from chittycan.mailroom import Standing

OLDEST_PYTHON = (3, 11)
UNSET = re.compile(r"environment variable (\w+) is not set")
EMBEDDED_MB = 600  # what the embedded model needs while it works
LOW_DISK_MB, FULL_DISK_MB = 1_000, 100
EXPIRES_SOON = 7 * 86_400.0

Status = Literal["ok", "warn", "fail"]


class Check(Struct, omit_defaults=True):
    """One finding. `fix` is what to do about it."""

    name: str
    status: Status
    message: str
    fix: str | None = None


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("Python", "fail", f"{version} is too old", "Use Python 3.11 or newer.")
    return Check("Python", "ok", version)


def configuration(env: Mapping[str, str]) -> tuple[list[Check], Settings | None]:
    """Both files: whether they can be read, and what is odd in them. The settings are None where they are broken."""
    place = folder(env)
    try:
        settings = load(place, env)
    except ChittyError as error:
        return [Check("Configuration", "fail", error.message, error.fix)], None
    files = [name for name in (CONFIG_FILE, MODELS_FILE) if (place / name).exists()]
    if not files:
        message = f"no files in {place}; everything found on this machine is used"
        return [Check("Configuration", "ok", message)], settings
    checks = [Check("Configuration", "ok", f"{' and '.join(files)} in {place}")]
    for finding in settings.warnings:
        where = f"{Path(finding.file).name}: {finding.key}: {finding.message}"
        checks.append(Check("Configuration", "warn", where, finding.suggestion))
    return checks, settings


def file_modes(env: Mapping[str, str]) -> list[Check]:
    """Secrets that others on this machine could read."""
    if os.name != "posix":
        return []
    config, data = folder(env), data_folder(env)
    secret = [config / CONFIG_FILE, data / "admin.key", *sorted((config / "secrets").glob("*"))]
    if (database := sqlite_file(env)) is not None:
        secret.append(database)
    open_to_others = [path for path in secret if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if not open_to_others:
        return [Check("File modes", "ok", "only you can read the configuration, the credential and the database")]
    return [
        Check("File modes", "warn", f"others on this machine can read {path}", f"chmod 600 {path}")
        for path in open_to_others
    ]


def sqlite_file(env: Mapping[str, str]) -> Path | None:
    """The file of a SQLite database; None for Postgres."""
    url = database_url(env)
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def database(env: Mapping[str, str], now: float) -> list[Check]:
    """Whether it opens, its schema, and what the ledger and the keys in it look like."""
    from chittycan.store.database import Database
    from chittycan.store.migrations import current, head

    file = sqlite_file(env)
    if file is not None and not file.exists():
        return [Check("Database", "ok", f"{file} is made on first use")]
    try:
        store = Database(database_url(env))
    except ChittyError as error:
        return [Check("Database", "fail", error.message, error.fix)]
    try:
        began = time.perf_counter()
        version = store.run_sync(current)
        ms = (time.perf_counter() - began) * 1e3
        kind = f"SQLite, {file}" if file is not None else f"Postgres, {store.url.render_as_string()}"
        checks = [Check("Database", "ok", f"{kind} ({ms:.0f} ms, schema {version or 'not made yet'})")]
        if version is not None and version > head():
            fix = "Install the newer version of ChittyCan that made it."
            return [Check("Database", "fail", f"its schema {version} is newer than this program's {head()}", fix)]
        if version != head():
            return [*checks, Check("Database", "ok", f"its schema becomes {head()} with the next command")]
        return [*checks, *_contents(store.run_sync, now, wal=file is not None)]
    except ChittyError as error:
        return [Check("Database", "fail", error.message, error.fix)]
    finally:
        store.close()


def _contents(run: Callable[..., object], now: float, *, wal: bool) -> Iterator[Check]:
    """`run` is the database's `run_sync`."""
    mode, last, keys = _looked(run)
    if wal and mode != "wal":
        fix = "Is it on a network drive? Put it on a local disk: CHITTY_DATABASE_URL."
        yield Check("Database", "warn", f"journal mode {mode}, so readers and writers wait for each other", fix)
    active = [key for key in keys if key[1] is None and (key[2] is None or key[2] > now)]
    if not keys:
        yield Check("Keys", "ok", "none; programs on this machine need none")
    else:
        yield Check("Keys", "ok", f"{len(active)} in use of {len(keys)}")
    for name, _, expires in active:
        if expires is not None and expires - now < EXPIRES_SOON:
            fix = f"can keys create --name {name}-2, and give that to its clients"
            yield Check("Keys", "warn", f"'{name}' expires in {(expires - now) / 86_400:.1f} days", fix)
    yield Check("Ledger", "ok", "no calls yet" if last is None else f"last call {spoken(now - last)} ago")


def _looked(run: Callable[..., object]) -> tuple[str, float | None, list[tuple[str, float | None, float | None]]]:
    from sqlalchemy import Connection, func, select

    from chittycan.store.tables import keys, ledger

    def look(connection: Connection) -> tuple[str, float | None, list[tuple[str, float | None, float | None]]]:
        sqlite = connection.dialect.name == "sqlite"
        mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()) if sqlite else ""
        rows = connection.execute(select(keys.c.name, keys.c.revoked, keys.c.expires)).all()
        return mode, connection.scalar(select(func.max(ledger.c.at))), [(row[0], row[1], row[2]) for row in rows]

    found = run(look)
    assert isinstance(found, tuple)
    return found


def providers(catalogue: Catalogue, settings: Settings) -> list[Check]:
    """Who can be asked, who is left out and why."""
    checks = []
    for each in catalogue.providers.values():
        if each.name == LOCAL and each.embedded:
            continue
        keys = ", ".join(key.source for key in each.keys) or "no key needed"
        model = f", default model {each.default_model}" if each.default_model else ", no default model"
        verified = "" if each.verified or each.source in ("discovered", "config") else ", never tried by its makers"
        checks.append(Check(f"Provider {each.name}", "ok", f"{keys}{model}{verified}"))
    for name, why in catalogue.skipped.items():
        wanted = name in settings.proxies and settings.proxies[name].enabled
        unset = UNSET.search(why)
        fix = f"export {unset[1]}=…" if unset else "can config"
        fix += f"; or: can connect integration add {name} --api-key env:NAME"
        if name == EMBEDDED:
            continue  # `embedded` says it
        checks.append(Check(f"Provider {name}", "warn" if wanted else "ok", why, fix if wanted else None))
    if not catalogue.providers:
        fix = "export OPENAI_API_KEY=…, start Ollama, or pip install 'chittycan[local]'"
        checks.append(Check("Providers", "fail", "no model can be called", fix))
    known = {str(warning) for warning in settings.warnings}
    checks += [Check("Models", "warn", warning) for warning in catalogue.warnings if warning not in known]
    return checks


def local_servers(found: Mapping[str, Endpoint]) -> list[Check]:
    if not found:
        ports = ", ".join(f"{name} on {port}" for name, port in PORTS.items())
        return [Check("Local servers", "ok", f"none answers (looked for {ports})")]
    return [
        Check(f"Local server {each.vendor}", "ok", f"{each.url}, {len(each.models)} models") for each in found.values()
    ]


def embedded(settings: Settings, missing: str | None) -> list[Check]:
    """`missing`: why it cannot run here, from `app.embedded_missing`."""
    from chittycan.providers import model_files

    if not settings.embedded.enabled:
        return [Check("Embedded model", "ok", "switched off in config.json")]
    if missing is not None:
        return [Check("Embedded model", "warn", missing.partition(":")[0], missing.partition(": ")[2] or None)]
    if settings.embedded.model is not None:
        try:
            model_files.checked(Path(settings.embedded.model))
        except ChittyError as error:
            return [Check("Embedded model", "fail", error.message, error.fix)]
        where = settings.embedded.model
    else:
        file = model_files.find()
        if file is None:
            return [Check("Embedded model", "warn", "smollm2 was not fetched yet", "can up (fetches 93 MB, once)")]
        where = str(file)
    checks = [Check("Embedded model", "ok", f"smollm2, {where}")]
    free = free_memory_mb()
    if free is not None and free < EMBEDDED_MB:
        fix = "Close something, or switch it off: config.json, embedded.enabled false."
        checks.append(Check("Embedded model", "warn", f"{free:.0f} MB of memory free, it needs {EMBEDDED_MB}", fix))
    return checks


def free_memory_mb() -> float | None:
    """Memory that a program could have now, in MB; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration, ValueError):
        return None


def disk(env: Mapping[str, str]) -> Check:
    place = data_folder(env)
    place = next(each for each in (place, *place.parents) if each.exists())
    free = shutil.disk_usage(place).free / 1e6
    message = f"{free / 1e3:.1f} GB free at {place}"
    if free < FULL_DISK_MB:
        return Check("Disk", "fail", message, "Make room: the ledger and the database need it.")
    return Check("Disk", "warn" if free < LOW_DISK_MB else "ok", message, "Make room." if free < LOW_DISK_MB else None)


async def mail(settings: Settings, env: Mapping[str, str], now: float) -> list[Check]:
    """How it stands with mail accounts on servers; what is set up is one thing, what works another."""
    from chittycan.mailroom import standings
    from chittycan.store.database import Database
    from chittycan.store.migrations import current, head

    file = sqlite_file(env)
    try:
        if not settings.integrations or (file is not None and not file.exists()):
            return []
        store = Database(database_url(env))
        try:
            found = await standings(settings, store, now) if await store.read(current) == head() else []
        finally:
            store.close()
    except ChittyError as error:
        return [Check("Mail", "fail", error.message, error.fix)]
    return [_mail(each) for each in found]


def _mail(standing: "Standing") -> Check:
    name, row = f"Mail {standing.name}", standing.row
    last = "never looked at" if standing.silent is None else f"last looked at {spoken(standing.silent)} ago"
    waiting = f", {standing.behind} mails behind" if standing.behind else ""
    if row is not None and row.problem is not None:
        status: Status = "fail" if standing.state == "stale" else "warn"
        return Check(name, status, f"{last}{waiting}: {row.problem}", row.fix)
    if standing.state == "stale":
        return Check(name, "fail", f"{last}{waiting}", "Does can serve run? It looks after accounts with watch.")
    if standing.watched and standing.state == "never":
        return Check(name, "warn", last, "can serve looks after it, or can router inbox watch.")
    return Check(name, "ok", f"{last}{waiting}")


def sending(settings: Settings, env: Mapping[str, str]) -> list[Check]:
    """Through which servers mail goes out, and as whom; whether they take it, only a mail shows."""
    from chittycan.outside import Outside

    outside, found = Outside(settings, env), []
    for account in (None, *settings.integrations):
        name = "Mail server" if account is None else f"Mail server of {account}"
        try:
            if (settings.smtp if account is None else outside.of_account(account).smtp) is None:
                continue
            mailer = outside.mailer_of(account)
            how = "with a token" if mailer.token is not None else "with a password" if mailer.server.password else ""
            said = f"{mailer.server.host} sends as {outside.sender_of(account)} {how or 'without a login'}"
            found.append(Check(name, "ok", said))
        except ChittyError as error:
            found.append(Check(name, "fail", error.message, error.fix))
    outside.close()
    return found


async def rules(settings: Settings, env: Mapping[str, str]) -> list[Check]:
    """Those that cannot be read, or ask for what is never known."""
    from chittycan.control.rules import to_mend, unknown
    from chittycan.routing.rules.book import Rule
    from chittycan.rulebook import cannot_read
    from chittycan.store.database import Database
    from chittycan.store.migrations import current, head
    from chittycan.store.rules import every

    file = sqlite_file(env)
    try:
        if file is not None and not file.exists():
            return []
        store = Database(database_url(env))
        try:
            rows = await store.read(every) if await store.read(current) == head() else []
        finally:
            store.close()
        used = [rule for row in rows if (rule := Rule(**row)).enabled]
        broken = {rule.name: why for rule in used if (why := cannot_read(rule)) is not None}
        found = [(rule.name, unknown(settings, rule)) for rule in used if rule.name not in broken]
    except ChittyError as error:
        return [Check("Rules", "warn", error.message, error.fix)]
    fix = "Set it to the name at the beginning of the topmost Authentication-Results of your mails."
    return [
        *(Check(f"Rule {name}", "warn", f"is not used: {why}", to_mend(name, why)) for name, why in broken.items()),
        *(Check(f"Rule {name}", "warn", why, fix) for name, why in found if why is not None),
    ]


async def choices(catalogue: Catalogue, settings: Settings, env: Mapping[str, str]) -> list[Check]:
    """What `auto` goes by: names that lead nowhere, and models that another one beats in both price and quality."""
    from chittycan.clock import SystemClock
    from chittycan.policy import learnt, policy_of
    from chittycan.routing.cost.dominated import dominated
    from chittycan.routing.quality.estimate import NO_QUALITY
    from chittycan.store.database import Database
    from chittycan.store.migrations import current, head
    from chittycan.usage.prices import Prices

    wishes = settings.routing
    checks = [
        Check(
            "Routing", "warn", f"models.json: routing.{key}: the model '{name}' cannot be called", "Name another one."
        )
        for key, name in (("strong", wishes.strong), ("baseline", wishes.baseline))
        if name is not None and catalogue.resolve(name) is None
    ]
    file = sqlite_file(env)
    if file is not None and not file.exists():
        return checks
    try:
        store = Database(database_url(env))
        try:
            known = await store.read(learnt) if await store.read(current) == head() else NO_QUALITY
        finally:
            store.close()
    except (ChittyError, ValueError) as error:
        return [*checks, Check("Routing", "warn", f"what was learnt cannot be read: {error}", "can route train")]
    worse = dominated(catalogue, policy_of(settings, known, Prices(SystemClock())))
    fix = "Take the other one, or can router models list."
    return checks + [Check("Routing", "warn", f"{name} is {why}", fix) for name, why in worse.items()]


async def budgets(settings: Settings, env: Mapping[str, str], now: float) -> list[Check]:
    """How much of every budget is spent; those beyond the first alarm by themselves."""
    from chittycan.auth.keys import Keys
    from chittycan.clock import SystemClock
    from chittycan.gateway.admission import total_caps
    from chittycan.store.alarms import spending
    from chittycan.store.database import Database
    from chittycan.store.migrations import current, head
    from chittycan.usage.alarms import standings

    file = sqlite_file(env)
    if file is not None and not file.exists():
        return []
    try:
        store = Database(database_url(env))
        try:
            if await store.read(current) != head():
                return []
            keys = [key for key in await Keys(store, SystemClock()).list() if key.usable(now)]
            spent = await store.read(spending, now)
        finally:
            store.close()
    except ChittyError:
        return []  # the check of the database says why
    written = settings.budgets
    caps = [*total_caps(written.day_nano, written.month_nano), *(cap for key in keys for cap in key.budget_caps)]
    found = standings(caps, spent, {}, now)
    alarm = min(written.alarm, default=1.0)
    checks = [
        Check("Budget", "warn", f"{each.share:.0%} of ${each.cap.limit / 1e9:g} of this {each.cap.period} is spent: "
              f"{each.cap.label}", "Raise it, or wait: can keys list shows who spends. At its end calls are refused.")
        for each in found
        if each.share >= alarm
    ]  # fmt: skip
    if found and not checks:
        most = max(found, key=lambda each: each.share)
        spends = f"{most.share:.0%} of ${most.cap.limit / 1e9:g} of this {most.cap.period}, {most.cap.label}"
        checks.append(Check("Budget", "ok", f"the most that is spent is {spends}"))
    return checks


def counted(checks: Iterable[Check]) -> dict[str, int]:
    """The summary: passed, warnings, failed."""
    found = [check.status for check in checks]
    return {"passed": found.count("ok"), "warnings": found.count("warn"), "failed": found.count("fail")}


def report(checks: Iterable[Check]) -> str:
    """The findings in few words, for a model to put into sentences."""
    found = list(checks)
    totals = counted(found)
    parts = [f"{totals['passed']} checks passed."]
    for status, words in (("warn", "Warnings"), ("fail", "Failures")):
        said = "; ".join(f"{check.name}: {check.message}" for check in found if check.status == status)
        parts.append(f"{words}: {said or 'none'}.")
    return " ".join(parts)

"""The command `partage`. A failure is one sentence on standard error and an exit status: 1 it could not, 2 it was asked wrongly."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import partage
from partage import problems
from partage.main import backups, import_worker, manage, serve, up
from partage.main.configuration import config, sample

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    try:
        chosen = _parser().parse_args(arguments)
        status: int = chosen.act(chosen)
    except problems.Invalid as problem:
        return _say(problem, 2)
    except problems.Problem as problem:
        return _say(problem, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # what reads this command's output has seen enough
        sys.stderr.close()
        return 0
    return status


def _say(problem: problems.Problem, status: int) -> int:
    print(f"partage: {' '.join(str(problem).split())}", file=sys.stderr)  # one line, whatever a library put into it
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="partage", description=partage.__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    up_ = _verb(verbs, "up", _up, "run everything on this machine, the identity service included")
    up_.add_argument("--data", type=Path, metavar="DIR", help=f"where everything is kept (default {up.default_directory()})")
    _listening(up_)

    serve_ = _verb(verbs, "serve", _serve, "run the image service alone, beside your own Keystone and database")
    serve_.add_argument("--host", help="the address to listen on")
    _listening(serve_)
    _configured(serve_)

    worker = _verb(verbs, "worker", _worker, "do imports, beside processes that answer requests")
    _configured(worker)

    config_ = _verb(verbs, "config", _config, "show the settings in effect, secrets masked")
    config_.add_argument("--sample", action="store_true", help="show a documented configuration file instead")
    _configured(config_)

    tasks = _verb(verbs, "manage", None, "look after the database and the stores").add_subparsers(metavar="TASK", required=True)
    _task(tasks, "upgrade-database", manage.upgrade_database, "create the database's schema or bring it up to date")
    _task(tasks, "verify", manage.verify_content, "read every stored byte again and compare")
    sweep = _task(tasks, "sweep", manage.sweep_content, "free what no image needs any more")
    sweep.add_argument(
        "--grace",
        dest="sweep_grace_seconds",
        type=float,
        metavar="SECONDS",
        help="how long unused bytes are kept; below the longest upload or download under way these may break off (default 86400)",
    )

    _add_recovery(tasks)
    _task(tasks, "scrub", manage.scrub_images, "forget deleted images that were kept for long enough")
    restore = _verb(
        tasks, "restore", _restore, "bring a deleted image back that was not scrubbed yet, under its id, with its members"
    )
    restore.add_argument("image_id", metavar="IMAGE_ID")
    restore.add_argument("--data", type=Path, metavar="DIR", help="the data directory, as given to `partage up`")
    _configured(restore)

    load = _verb(tasks, "load-metadefs", _load_metadefs, "create the metadata definitions that the glance package ships")
    load.add_argument("--data", type=Path, metavar="DIR", help="the data directory, as given to `partage up`")
    _configured(load)
    load.add_argument("--from", dest="metadefs", type=Path, metavar="DIR", help="read JSON files of this directory instead")

    _verb(verbs, "version", _version, "show the version")
    return parser


def _add_recovery(tasks: Any) -> None:
    """Add what helps when a disk, a database or a store is lost, or may be."""
    _task(
        tasks,
        "rebuild-index",
        manage.rebuild,
        "find packs again that the database does not know, after it was restored from a backup",
    )
    backup = _verb(tasks, "backup", _backup, "copy the SQLite database and the packs that it needs, beside the running service")
    backup.add_argument("directory", type=Path, metavar="DIR", help="where to; empty, or not there yet")
    backup.add_argument("--data", type=Path, metavar="DIR", help="the data directory, as given to `partage up`")
    _configured(backup)
    restored = _verb(tasks, "restore-backup", _restore_backup, "check a backup, and restore it where nothing is yet")
    restored.add_argument("directory", type=Path, metavar="DIR", help="the backup")
    restored.add_argument("--to", dest="data", type=Path, metavar="DIR", help="the data directory to restore to")
    _configured(restored)
    take_over = _verb(tasks, "take-over-store", _take_over_store, "make a store this database's that belongs to another one")
    take_over.add_argument("store_id", metavar="STORE")
    take_over.add_argument(
        "--from",
        dest="owner",
        required=True,
        metavar="DATABASE",
        help="the id of the database that it belongs to, or nobody, as the command said that refused the store",
    )
    take_over.add_argument("--data", type=Path, metavar="DIR", help="the data directory, as given to `partage up`")
    _configured(take_over)


def _verb(verbs: Any, name: str, act: Any, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=summary)
    parser.set_defaults(act=act)
    return parser


def _task(tasks: Any, name: str, task: Any, summary: str) -> argparse.ArgumentParser:
    def act(chosen: argparse.Namespace) -> int:
        status: int = task(config.load(_given(chosen, "data", "sweep_grace_seconds"), file=chosen.config))
        return status

    parser = _verb(tasks, name, act, summary)
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data directory, as given to `partage up`")
    _configured(parser)
    return parser


def _listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="the port to listen on (default 9292)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that answer requests (default 2)")


def _configured(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"the configuration file (default ${config.FILE_VARIABLE})")


def _given(chosen: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(chosen, name, None)) is not None}


def _up(chosen: argparse.Namespace) -> int:
    return up.up(chosen.data or up.default_directory(), _given(chosen, "port", "workers"))


def _serve(chosen: argparse.Namespace) -> int:
    return serve.serve(lambda: config.load(_given(chosen, "host", "port", "workers"), file=chosen.config))


def _worker(chosen: argparse.Namespace) -> int:
    return import_worker.work(lambda: config.load({}, file=chosen.config))


def _restore(chosen: argparse.Namespace) -> int:
    return manage.restore_image(config.load(_given(chosen, "data"), file=chosen.config), chosen.image_id)


def _take_over_store(chosen: argparse.Namespace) -> int:
    return manage.take_over_store(config.load(_given(chosen, "data"), file=chosen.config), chosen.store_id, chosen.owner)


def _backup(chosen: argparse.Namespace) -> int:
    return backups.back_up(config.load(_given(chosen, "data"), file=chosen.config), chosen.directory)


def _restore_backup(chosen: argparse.Namespace) -> int:
    return backups.restore_backup(config.load(_given(chosen, "data"), file=chosen.config), chosen.directory)


def _load_metadefs(chosen: argparse.Namespace) -> int:
    return manage.load_metadefs(config.load(_given(chosen, "data"), file=chosen.config), chosen.metadefs)


def _config(chosen: argparse.Namespace) -> int:
    print(sample.sample() if chosen.sample else sample.effective(config.load({}, file=chosen.config)))
    return 0


def _version(_chosen: argparse.Namespace) -> int:
    print(f"partage {partage.__version__}")
    return 0

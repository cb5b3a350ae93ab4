"""The command `partage`. It reports a failure in one sentence on standard error. Exit status 1: it failed, 2: invalid usage."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import partage
from partage import problems
from partage.main import backups, definition_files, glance, import_worker, logs, manage, serve, sharing, status, up, uses
from partage.main.configuration import config, sample

_INTERRUPTED = 130
_VERSION = f"partage {partage.__version__}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    try:
        _require_text(sys.argv[1:] if arguments is None else arguments)
        chosen = _build_parser().parse_args(arguments)
        status: int = chosen.act(chosen)
    except problems.Invalid as problem:
        return _print_problem(problem, 2)
    except problems.Problem as problem:
        return _print_problem(problem, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        sys.stderr.close()
        return 0
    return status


def _require_text(arguments: Sequence[str]) -> None:
    """Require arguments that are UTF-8: ids go into a database, and names of files into messages and URLs."""
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError as error:
            raise problems.Invalid(f"The argument {each[:100]!r} is not UTF-8 text; name it without these bytes") from error


def _print_problem(problem: problems.Problem, status: int) -> int:
    logs.print_failure(" ".join(str(problem).split()))  # one line, even if a library's message has several
    return status


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="partage", description=partage.__doc__)
    parser.add_argument("--version", action="version", version=_VERSION)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND")
    parser.set_defaults(act=lambda _chosen: _print_help(parser))

    up_ = _add_command(verbs, "up", _run_up, "run everything on one machine: Keystone, the image service, an import worker, SQLite")
    up_.add_argument("--data", type=Path, metavar="DIR", help=f"the data directory (default {up.default_directory()})")
    _add_listen_options(up_)

    serve_ = _add_command(verbs, "serve", _run_serve, "run the image service with your own Keystone and database")
    serve_.add_argument("--host", help="the address to listen on")
    _add_listen_options(serve_)
    _add_config_option(serve_)

    worker = _add_command(verbs, "worker", _run_worker, "run imports for `partage serve`")
    _add_config_option(worker)

    config_ = _add_command(verbs, "config", _print_config, "print the settings in effect, with secrets masked")
    config_.add_argument("--sample", action="store_true", help="print a configuration file with every setting and its meaning")
    _add_config_option(config_)

    manage_: argparse.ArgumentParser = _add_command(
        verbs, "manage", lambda _chosen: _print_help(manage_), "maintain the database and the stores"
    )
    tasks = manage_.add_subparsers(title="commands", metavar="COMMAND")
    upgrade = _add_task(
        tasks, "upgrade-database", manage.upgrade_database, "create the database schema, or upgrade it to this release"
    )
    upgrade.set_defaults(act=_upgrade)
    upgrade.add_argument("--check", action="store_true", help="change nothing; print what is missing, with status 1 if anything is")
    state = _add_command(tasks, "status", _print_status, "print the state of stores, tasks and workers, and how much data there is")
    state.add_argument("--json", dest="as_json", action="store_true", help="print one JSON document")
    state.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
    _add_config_option(state)
    _add_task(tasks, "verify", manage.verify_content, "read every stored chunk and compare its digest")
    sweep = _add_task(tasks, "sweep", manage.sweep_content, "garbage collection: remove data that no image references")
    sweep.add_argument(
        "--grace",
        dest="sweep_grace_seconds",
        type=float,
        metavar="SECONDS",
        help="keep data that became unreferenced within this time (default 86400); transfers that take longer may break off",
    )

    _add_recovery(tasks)
    _add_task(tasks, "scrub", manage.scrub_images, "remove deleted images whose scrub_time_seconds have passed (delayed_delete)")
    restore = _add_command(tasks, "restore", _restore, "restore a deleted image that was not scrubbed yet, with its id and members")
    restore.add_argument("image_id", metavar="IMAGE_ID")
    restore.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
    _add_config_option(restore)

    _add_sharing(tasks)
    _add_glance(tasks)
    load = _add_command(tasks, "load-metadefs", _load_metadefs, "create the metadata definitions of the package glance")
    load.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
    _add_config_option(load)
    chosen = load.add_mutually_exclusive_group()
    chosen.add_argument("--from", dest="metadefs", type=Path, metavar="DIR", help="read the JSON files of this directory instead")
    chosen.add_argument(
        "--own",
        dest="metadefs",
        action="store_const",
        const=definition_files.OWN,
        help="create those that come with Partage, for Nova's common properties, as partage up does",
    )

    _add_command(verbs, "version", _print_version, "print the version")
    return parser


def _add_recovery(tasks: Any) -> None:
    """Add the commands for backups and for lost disks, databases and stores."""
    _add_task(
        tasks,
        "rebuild-index",
        manage.rebuild,
        "index packs that a restored database does not know",
    )
    backup = _add_command(tasks, "backup", _backup, "back up the SQLite database and its packs while the service runs")
    backup.add_argument("directory", type=Path, metavar="DIR", help="the directory of the backup; it must be empty or absent")
    backup.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
    _add_config_option(backup)
    restored = _add_command(tasks, "restore-backup", _restore_backup, "check a backup and restore it to empty directories")
    restored.add_argument("directory", type=Path, metavar="DIR", help="the backup")
    restored.add_argument(
        "--to", dest="data", type=Path, metavar="DIR", help="the data directory to restore to; it must be empty or absent"
    )
    _add_config_option(restored)
    take_over = _add_command(tasks, "take-over-store", _take_over_store, "reassign a store of another database to this one")
    take_over.add_argument("store_id", metavar="STORE")
    take_over.add_argument(
        "--from",
        dest="owner",
        required=True,
        metavar="DATABASE",
        help="the id of the database that owns the store, or nobody, as in the message that refused the store",
    )
    take_over.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
    _add_config_option(take_over)


def _add_sharing(tasks: Any) -> None:
    """Add the commands for promises to members."""
    close = _add_command(tasks, "close-project", _close_project, "delete what a project owns, and keep what it promised to members")
    close.add_argument("project_id", metavar="PROJECT_ID", help="the id of a project that was deleted or disabled in Keystone")
    close.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    close.add_argument("--force", action="store_true", help="do not ask Keystone whether the project is in use")
    held = _add_command(tasks, "retained", _list_retained, "list retained images, for whom and until when, and their bytes")
    held.add_argument("--json", dest="as_json", action="store_true", help="print one JSON document")
    down = _add_command(tasks, "take-down", _take_down, "delete an image for everybody, against every promise")
    down.add_argument("image_id", metavar="IMAGE_ID")
    down.add_argument("--yes", dest="is_confirmed", action="store_true", help="delete it; without this, only say whom it hits")
    used = _add_command(tasks, "uses", _run_uses, "count the recorded uses of each image, or compare them with Nova and Cinder")
    used.add_argument(
        "--reconcile",
        action="store_true",
        help="list all servers and volumes, record the uses that are missing, and remove those that no longer exist",
    )
    used.add_argument("--dry-run", action="store_true", help="with --reconcile: say what would happen, and change nothing")
    for each in (close, held, down, used):
        each.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
        _add_config_option(each)


def _add_glance(tasks: Any) -> None:
    """Add the commands that take over a Glance."""
    taken = _add_command(tasks, "import-glance", _import_glance, "take over a running Glance; its image data stays where it is")
    taken.add_argument(
        "--config",
        dest="glance_config",
        type=Path,
        metavar="FILE",
        help="the glance-api.conf of the Glance (default: the setting taking_over.glance_config)",
    )
    taken.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    gone = _add_command(tasks, "remove-originals", _remove_originals, "list Glance's files that are not read any more")
    gone.add_argument("--yes", dest="is_confirmed", action="store_true", help="remove them; Glance cannot be used again")
    for each in (taken, gone):
        each.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
        each.add_argument(
            "--service-config",
            dest="config",
            type=Path,
            metavar="FILE",
            help=f"the configuration file of this service (default: the variable {config.FILE_VARIABLE})",
        )


def _add_command(verbs: Any, name: str, act: Any, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
    parser.set_defaults(act=act)
    return parser


def _add_task(tasks: Any, name: str, task: Any, summary: str) -> argparse.ArgumentParser:
    def act(chosen: argparse.Namespace) -> int:
        status: int = task(config.load(_collect_options(chosen, "data", "sweep_grace_seconds"), file=chosen.config))
        return status

    parser = _add_command(tasks, name, act, summary)
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data directory of `partage up`")
    _add_config_option(parser)
    return parser


def _add_listen_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="the port to listen on (default 9292)")
    parser.add_argument("--workers", type=int, metavar="N", help="number of worker processes (default 2)")


def _add_config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"the configuration file (default: the variable {config.FILE_VARIABLE})"
    )


def _collect_options(chosen: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(chosen, name, None)) is not None}


def _run_up(chosen: argparse.Namespace) -> int:
    return up.up(chosen.data or up.default_directory(), _collect_options(chosen, "port", "workers"))


def _run_serve(chosen: argparse.Namespace) -> int:
    return serve.serve(lambda: config.load(_collect_options(chosen, "host", "port", "workers"), file=chosen.config))


def _run_worker(chosen: argparse.Namespace) -> int:
    return import_worker.work(lambda: config.load({}, file=chosen.config))


def _print_status(chosen: argparse.Namespace) -> int:
    return status.print_status(config.load(_collect_options(chosen, "data"), file=chosen.config), as_json=chosen.as_json)


def _upgrade(chosen: argparse.Namespace) -> int:
    settings = config.load(_collect_options(chosen, "data"), file=chosen.config)
    return manage.check_schema(settings) if chosen.check else manage.upgrade_database(settings)


def _import_glance(chosen: argparse.Namespace) -> int:
    settings = config.load(_collect_options(chosen, "data"), file=chosen.config)
    return glance.import_glance(settings, chosen.glance_config, dry_run=chosen.dry_run)


def _remove_originals(chosen: argparse.Namespace) -> int:
    settings = config.load(_collect_options(chosen, "data"), file=chosen.config)
    return glance.remove_originals(settings, is_confirmed=chosen.is_confirmed)


def _restore(chosen: argparse.Namespace) -> int:
    return manage.restore_image(config.load(_collect_options(chosen, "data"), file=chosen.config), chosen.image_id)


def _close_project(chosen: argparse.Namespace) -> int:
    settings = config.load(_collect_options(chosen, "data"), file=chosen.config)
    return sharing.close_project(settings, chosen.project_id, dry_run=chosen.dry_run, force=chosen.force)


def _list_retained(chosen: argparse.Namespace) -> int:
    return sharing.list_retained(config.load(_collect_options(chosen, "data"), file=chosen.config), as_json=chosen.as_json)


def _take_down(chosen: argparse.Namespace) -> int:
    settings = config.load(_collect_options(chosen, "data"), file=chosen.config)
    return sharing.take_down(settings, chosen.image_id, is_confirmed=chosen.is_confirmed)


def _run_uses(chosen: argparse.Namespace) -> int:
    settings = config.load(_collect_options(chosen, "data"), file=chosen.config)
    if chosen.reconcile:
        return uses.reconcile(settings, dry_run=chosen.dry_run)
    if chosen.dry_run:
        raise problems.Invalid("--dry-run belongs to --reconcile; name both, or neither")
    return uses.list_uses(settings)


def _take_over_store(chosen: argparse.Namespace) -> int:
    return manage.take_over_store(config.load(_collect_options(chosen, "data"), file=chosen.config), chosen.store_id, chosen.owner)


def _backup(chosen: argparse.Namespace) -> int:
    return backups.back_up(config.load(_collect_options(chosen, "data"), file=chosen.config), chosen.directory)


def _restore_backup(chosen: argparse.Namespace) -> int:
    return backups.restore_backup(config.load(_collect_options(chosen, "data"), file=chosen.config), chosen.directory)


def _load_metadefs(chosen: argparse.Namespace) -> int:
    return manage.load_metadefs(config.load(_collect_options(chosen, "data"), file=chosen.config), chosen.metadefs)


def _print_config(chosen: argparse.Namespace) -> int:
    print(sample.format_sample() if chosen.sample else sample.format_effective_settings(config.load({}, file=chosen.config)))
    return 0


def _print_help(parser: argparse.ArgumentParser) -> int:
    """Print the help for a command line without a command, which is invalid."""
    parser.print_help(sys.stderr)
    return 2


def _print_version(_chosen: argparse.Namespace) -> int:
    print(_VERSION)
    return 0

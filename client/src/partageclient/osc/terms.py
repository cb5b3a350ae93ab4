"""The options of commands for the terms of shares."""

import argparse

from partageclient.shares import Terms, parse_expiry, parse_notice


def add_terms(parser: argparse.ArgumentParser) -> None:
    """Describe the options of terms."""
    parser.add_argument(
        "--notice", metavar="<duration>", help="How long the member keeps access after the end: 30d, forever or while-used"
    )
    parser.add_argument("--expires", metavar="<time>", help="When access ends in any case: 2027-06-30, 90d or never")
    parser.add_argument("--message", metavar="<text>", help="What the member reads beside the offer")


def read_terms(parsed_args: argparse.Namespace) -> Terms:
    """Return the terms that the options name; None for each that they do not.

    Raises:
        Invalid: a duration or a time cannot be read.
    """
    return Terms(
        notice=parse_notice(parsed_args.notice) if parsed_args.notice is not None else None,
        expires_at=parse_expiry(parsed_args.expires) if parsed_args.expires is not None else None,
        message=parsed_args.message,
    )

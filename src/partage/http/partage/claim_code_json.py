"""The JSON of claim codes: what requests say, checked, and what replies say."""

from collections.abc import Sequence

from partage import problems
from partage.http.partage.share_json import Document, parse_terms, read_flag, read_time, require_object, terms_to_json
from partage.model.claim_code import LONGEST_CODE, MOST_USES, ClaimCode, CodeRequest


def parse_code_request(document: object) -> CodeRequest:
    """Read a request for a claim code.

    Raises:
        BodyInvalid: it does not fit its schema.
        TermsRefused: the notice is one that this service cannot promise.
    """
    given = require_object(document, ("uses", "expires_at", "terms", "make_shared"))
    uses = given.get("uses", 1)
    if not isinstance(uses, int) or isinstance(uses, bool) or not 1 <= uses <= MOST_USES:
        raise problems.BodyInvalid(f"uses must be a number from 1 to {MOST_USES}")
    return CodeRequest(
        uses=uses,
        expires_at=read_time(given.get("expires_at")),
        terms=parse_terms(given.get("terms", {})),
        make_shared=read_flag(given, "make_shared"),
    )


def parse_claim(document: object) -> str:
    """Read the code that a project claims. Whether there is such a code is not checked here.

    Raises:
        BodyInvalid: the document does not fit its schema.
    """
    code = require_object(document, ("code",)).get("code")
    if not isinstance(code, str) or not 1 <= len(code) <= LONGEST_CODE:
        raise problems.BodyInvalid(f"code must be a text of 1 to {LONGEST_CODE} characters")
    return code


def code_to_json(code: ClaimCode) -> Document:
    """Write a code without its secret."""
    return {
        "id": code.id,
        "image_id": code.image_id,
        "created_at": code.created_at,
        "expires_at": code.expires_at,
        "uses": code.uses,
        "uses_left": code.uses_left,
        "terms": terms_to_json(code.terms),
    }


def codes_to_json(codes: Sequence[ClaimCode]) -> Document:
    """Write the codes of an image."""
    return {"codes": [code_to_json(each) for each in codes]}

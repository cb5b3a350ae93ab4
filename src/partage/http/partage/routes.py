"""Every route of the sharing API as one row: method, path, handler, policy rule, success status."""

from http import HTTPStatus

from partage.http.partage import shares
from partage.http.routing import Body, Row
from partage.policies import sharing as rules

PREFIX = "/partage/v1"

_OK = HTTPStatus(200)
_DONE = HTTPStatus(204)
_SHARE = shares.PATH + "/{image_id}/{project_id}"

ROWS: tuple[Row, ...] = (
    Row("GET", shares.PATH, shares.list_shares, rules.LIST_SHARES, _OK),
    Row("POST", shares.PATH, shares.offer_shares, rules.OFFER_SHARE, _OK, Body.TAKEN),
    Row("POST", shares.PATH + "/accept", shares.accept_shares, rules.ANSWER_SHARE, _OK, Body.TAKEN),
    Row("POST", shares.PATH + "/reject", shares.reject_shares, rules.ANSWER_SHARE, _OK, Body.TAKEN),
    Row("GET", _SHARE, shares.show_share, rules.GET_SHARE, _OK),
    Row("PATCH", _SHARE, shares.change_terms, rules.CHANGE_TERMS, _OK, Body.TAKEN),
    Row("DELETE", _SHARE, shares.end_share, rules.END_SHARE, _OK),
    Row("POST", _SHARE + "/cancel-ending", shares.cancel_ending, rules.CANCEL_ENDING, _OK),
    Row("POST", _SHARE + "/accept", shares.accept_share, rules.ANSWER_SHARE, _OK),
    Row("POST", _SHARE + "/reject", shares.reject_share, rules.ANSWER_SHARE, _OK),
    Row("POST", _SHARE + "/leave", shares.leave_share, rules.LEAVE_SHARE, _DONE),
    Row("POST", PREFIX + "/images/{image_id}/restore", shares.restore_image, rules.RESTORE_IMAGE, _OK),
)

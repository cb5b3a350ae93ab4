"""Every route of the sharing API as one row: method, path, handler, policy rule, success status."""

from http import HTTPStatus

from partage.http.partage import (
    claim_codes,
    events,
    guards,
    images,
    impact,
    manifests,
    partial_uploads,
    paths,
    shares,
    trust,
    uses,
    webhooks,
)
from partage.http.routing import Body, Row
from partage.policies import sharing as rules
from partage.policies.images import DOWNLOAD_IMAGE, UPLOAD_IMAGE

_OK = HTTPStatus(200)
_CREATED = HTTPStatus(201)
_DONE = HTTPStatus(204)

ROWS: tuple[Row, ...] = (
    Row("GET", paths.SHARES, shares.list_shares, rules.LIST_SHARES, _OK),
    Row("POST", paths.SHARES, shares.offer_shares, rules.OFFER_SHARE, _OK, Body.TAKEN),
    Row("POST", paths.SHARES + "/accept", shares.accept_shares, rules.ANSWER_SHARE, _OK, Body.TAKEN),
    Row("POST", paths.SHARES + "/reject", shares.reject_shares, rules.ANSWER_SHARE, _OK, Body.TAKEN),
    Row("GET", paths.SHARE, shares.show_share, rules.GET_SHARE, _OK),
    Row("PATCH", paths.SHARE, shares.change_terms, rules.CHANGE_TERMS, _OK, Body.TAKEN),
    Row("DELETE", paths.SHARE, shares.end_share, rules.END_SHARE, _OK),
    Row("POST", paths.SHARE + "/cancel-ending", shares.cancel_ending, rules.CANCEL_ENDING, _OK),
    Row("POST", paths.SHARE + "/accept", shares.accept_share, rules.ANSWER_SHARE, _OK),
    Row("POST", paths.SHARE + "/reject", shares.reject_share, rules.ANSWER_SHARE, _OK),
    Row("POST", paths.SHARE + "/leave", shares.leave_share, rules.LEAVE_SHARE, _DONE),
    Row("GET", paths.EVENTS, events.list_events, rules.LIST_EVENTS, _OK),
    Row("GET", paths.WEBHOOKS, webhooks.list_webhooks, rules.LIST_WEBHOOKS, _OK),
    Row("POST", paths.WEBHOOKS, webhooks.create_webhook, rules.CREATE_WEBHOOK, _CREATED, Body.TAKEN),
    Row("GET", paths.WEBHOOK, webhooks.show_webhook, rules.GET_WEBHOOK, _OK),
    Row("PATCH", paths.WEBHOOK, webhooks.change_webhook, rules.CHANGE_WEBHOOK, _OK, Body.TAKEN),
    Row("DELETE", paths.WEBHOOK, webhooks.delete_webhook, rules.DELETE_WEBHOOK, _DONE),
    Row("POST", paths.IMAGE + "/restore", shares.restore_image, rules.RESTORE_IMAGE, _OK),
    Row("POST", paths.IMAGE + "/adopt", images.adopt_image, rules.ADOPT_IMAGE, _CREATED, Body.TAKEN),
    Row("GET", paths.IMAGE + "/lineage", images.show_lineage, rules.GET_LINEAGE, _OK),
    Row("GET", paths.MANIFEST, manifests.show_manifest, DOWNLOAD_IMAGE, _OK),
    Row("GET", paths.CHUNKS, manifests.send_chunks, DOWNLOAD_IMAGE, _OK),
    Row("GET", paths.UPLOAD, partial_uploads.show_upload, UPLOAD_IMAGE, _DONE),
    Row("POST", paths.UPLOAD, partial_uploads.begin_upload, UPLOAD_IMAGE, _CREATED, Body.TAKEN),
    Row("PATCH", paths.UPLOAD, partial_uploads.continue_upload, UPLOAD_IMAGE, _DONE, Body.TAKEN),
    Row("DELETE", paths.UPLOAD, partial_uploads.cancel_upload, UPLOAD_IMAGE, _DONE),
    Row("GET", paths.USES, uses.list_uses, rules.LIST_USES, _OK),
    Row("GET", paths.USES + "/projects", uses.count_uses, rules.COUNT_USES, _OK),
    Row("PUT", paths.USE, uses.record_use, rules.RECORD_USE, _OK),
    Row("DELETE", paths.USE, uses.release_use, rules.RELEASE_USE, _DONE),
    Row("GET", paths.IMAGE + "/impact", impact.show_impact, rules.GET_IMPACT, _OK),
    Row("GET", paths.CODES, claim_codes.list_codes, rules.LIST_CODES, _OK),
    Row("POST", paths.CODES, claim_codes.create_code, rules.CREATE_CODE, _CREATED, Body.TAKEN),
    Row("DELETE", paths.CODE, claim_codes.revoke_code, rules.REVOKE_CODE, _DONE),
    Row("POST", paths.CLAIMS, claim_codes.claim_share, rules.CLAIM_SHARE, _CREATED, Body.TAKEN),
    Row("GET", paths.IMAGE + "/guard", guards.show_guard, rules.GET_GUARD, _OK),
    Row("PUT", paths.IMAGE + "/guard", guards.switch_guard, rules.SWITCH_GUARD, _OK, Body.TAKEN),
    Row("DELETE", paths.IMAGE + "/guard", guards.reset_guard, rules.SWITCH_GUARD, _OK),
    Row("POST", paths.IMAGE + "/end", guards.end_access, rules.END_ACCESS, _DONE, Body.TAKEN),
    Row("GET", paths.TRUST, trust.list_rules, rules.LIST_TRUST, _OK),
    Row("GET", paths.TRUST_PROJECT, trust.show_rule, rules.LIST_TRUST, _OK),
    Row("PUT", paths.TRUST_PROJECT, trust.set_rule, rules.SET_TRUST, _OK, Body.TAKEN),
    Row("DELETE", paths.TRUST_PROJECT, trust.remove_rule, rules.SET_TRUST, _DONE),
    Row("GET", paths.TRUST_DOMAIN, trust.show_rule, rules.LIST_TRUST, _OK),
    Row("PUT", paths.TRUST_DOMAIN, trust.set_rule, rules.SET_TRUST, _OK, Body.TAKEN),
    Row("DELETE", paths.TRUST_DOMAIN, trust.remove_rule, rules.SET_TRUST, _DONE),
)

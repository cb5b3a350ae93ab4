"""Paths of the sharing API. Its prefix is written here and nowhere else in this folder."""

ROOT = "/partage"
PREFIX = ROOT + "/v1"

OPENAPI = PREFIX + "/openapi.json"
SHARES = PREFIX + "/shares"
SHARE = SHARES + "/{image_id}/{project_id}"
IMAGE = PREFIX + "/images/{image_id}"
USES = IMAGE + "/uses"
USE = USES + "/{kind}/{use_id}"
CODES = IMAGE + "/codes"
CODE = CODES + "/{code_id}"
CLAIMS = PREFIX + "/claims"

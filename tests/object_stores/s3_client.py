"""An administrator of the S3 servers of tests: creates buckets, and writes the file of credentials that the driver reads."""

from typing import Any
from urllib.parse import urlencode

import botocore.session
from botocore.config import Config

from tests.object_stores.servers import SECRET_KEY, RunningServer


def connect(server: RunningServer) -> Any:
    """Return a client of botocore's, with the account of the server."""
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


def find_url(server: RunningServer, bucket: str) -> str:
    """Return the URL of a bucket, for PARTAGE_TEST_STORE_URL; the credentials are in a file of the server's folder."""
    file = server.folder / "credentials"
    file.write_text(render_credentials(server.access_key, SECRET_KEY))
    return f"s3://{bucket}?{urlencode({'endpoint': server.url, 'addressing': 'path', 'credentials_file': file})}"


def render_credentials(access_key: str, secret_key: str) -> str:
    """Return a file in the format of ~/.aws/credentials."""
    return f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"

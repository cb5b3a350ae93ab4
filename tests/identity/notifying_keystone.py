"""Serve the Keystone of a data directory with further configuration: `python notifying_keystone.py PORT CONFIGURATION...`.

It prints a line when it is ready. The configuration of `partage up` sends no notifications; an operator's does.
"""

import sys

import waitress.server
from keystone.server.flask import core

port, *files = sys.argv[1:]
sys.argv = ["keystone"]
application = core.initialize_application("public", config_files=files)
server = waitress.server.create_server(application, listen=f"127.0.0.1:{port}", url_prefix="/identity", threads=1, ident=None)
print("ready", flush=True)
server.run()

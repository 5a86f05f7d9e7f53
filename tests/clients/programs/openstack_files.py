"""Print the cloud that openstacksdk takes from files, for each case: its name, auth_type and auth.

Standard input is a JSON list of cases: the folder that is home and working directory, and the
variables that are set besides.
"""

import json
import os
import sys
from importlib import reload

from openstack.config import loader

told = []
for case in json.load(sys.stdin):
    os.chdir(case["folder"])
    os.environ.update({"HOME": case["folder"], **case["env"]})
    # It looks where it is when it is imported.
    found = reload(loader).OpenStackConfig().get_one(validate=False)
    told.append({"name": found.name, "type": found.config["auth_type"], "auth": found.auth})
    for name in case["env"]:
        del os.environ[name]
print(json.dumps(told))

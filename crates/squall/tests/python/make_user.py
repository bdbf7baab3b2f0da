"""make_user.py URI USER PASSWORD [PRIVILEGE…] makes a user without any rights, or with these global ones;
without a password it drops the user."""

import json
import sys

from pymilvus import MilvusClient

uri, user, *rest = sys.argv[1:]
client = MilvusClient(uri, token="root:Milvus")
if rest:
    password, *privileges = rest
    client.create_user(user, password)
    if privileges:
        client.create_role(user)
        for privilege in privileges:
            client.grant_privilege(user, "Global", privilege, "*")
        client.grant_role(user, user)
else:
    client.drop_user(user)
    if user in client.list_roles():
        for right in client.describe_role(user)["privileges"]:
            client.revoke_privilege(user, right["object_type"], right["privilege"], right["object_name"])
        client.drop_role(user)
print(json.dumps(list(client.list_users())))

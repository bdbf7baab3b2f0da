"""make_user.py URI USER PASSWORD makes a user without any rights; without a password it drops the user."""

import json
import sys

from pymilvus import MilvusClient

client = MilvusClient(sys.argv[1], token="root:Milvus")
if len(sys.argv) > 3:
    client.create_user(sys.argv[2], sys.argv[3])
else:
    client.drop_user(sys.argv[2])
print(json.dumps(list(client.list_users())))

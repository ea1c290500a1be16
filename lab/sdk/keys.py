"""What only the platform knows of the fake vendors: their keys, and whose word on their names it takes.

Writes the manifests with that to a file; prints the gateway's flags that lead to the vendors, one per line.
"""
import json
import os
import sys

fakes = json.loads(os.environ["FAKES"])
port = fakes["addr"].rsplit(":", 1)[1]


def manifest(kind, name, **content):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "models"}} | content


with open(fakes["ca"]) as ca:
    objects = [manifest("ConfigMap", "vendors-ca", data={"ca.crt": ca.read()})]
for name in ["openai", "anthropic", "azure"]:
    vendor = fakes["vendors"][name]
    objects.append(manifest("Secret", name, stringData={"key": vendor["key"]}))
    print("--resolve", f"{vendor['hosts'][0]}:443:127.0.0.1:{port}", sep="\n")
with open(sys.argv[1], "w") as file:
    json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file)

#!/usr/bin/env bash
# The official clients for Python and Node on the fake vendors of lab/fake,
# with no gateway between: what proves the fakes right. Needs what run.sh
# needs, and Go.
set -euo pipefail
cd "$(dirname "$0")"
source ./install.sh
source ./serve.sh

fakes
export SSL_CERT_FILE="$work/vendors-ca.pem" NODE_EXTRA_CA_CERTS="$work/vendors-ca.pem"

failed=0
"$cache/python/bin/python" vendors.py || failed=1
node "$cache/node/vendors.mjs" || failed=1
exit "$failed"

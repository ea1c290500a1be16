# Sourced by run.sh and direct.sh: installs the clients for Python and Node
# into $cache, outside the checkout.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/egret-sdk
mkdir -p "$cache/node"

# Installed again only when the pinned versions change.
if ! cmp -s requirements.txt "$cache/python/requirements.txt"; then
  rm -rf "$cache/python"
  python3 -m venv "$cache/python"
  "$cache/python/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$cache/python/requirements.txt"
fi
cp client.mjs vendors.mjs package.json package-lock.json "$cache/node/"
if ! cmp -s package-lock.json "$cache/node/installed.json"; then
  (cd "$cache/node" && npm ci --silent --no-audit --no-fund)
  cp package-lock.json "$cache/node/installed.json"
fi

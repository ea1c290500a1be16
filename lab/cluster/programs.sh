# What the cluster runs: packages of Debian, programs compiled from the modules
# in build/, each pinned by its go.mod, and our own in tools/. Sourced by
# cluster.sh.

packages() {
  # nftables, conntrack: kube-proxy; runc: containers; busybox, curl: the image
  # to look around with; the rest: these scripts.
  local missing=() p
  for p in runc nftables conntrack iproute2 util-linux openssl busybox curl ca-certificates python3 python3-pip; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return
  log "apt: ${missing[*]}"
  apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >/dev/null
}

# gobuild DIR LDFLAGS TAGS OUT PACKAGE...: skipped when nothing has changed.
gobuild() {
  local dir=$1 ld=$2 tags=$3 out=$4; shift 4
  local stamp="$BIN/.$(basename "$dir")-$(basename "$out")" sum
  sum=$( { go version; echo "$ld $tags $out $*"
           find "$HERE/$dir" -type f \( -name '*.go' -o -name 'go.*' \) | sort | xargs cat; } | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && return
  log "go build: $dir ($*)"
  (cd "$HERE/$dir" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
     nice go build -trimpath -ldflags "-s -w $ld" -tags "$tags" -o "$out" "$@")
  echo "$sum" >"$stamp"
}

pinned() { awk -v m="$2" '$1 == m {print $2} $2 == m {print $3}' "$HERE/build/$1/go.mod" | head -1; }

programs() {
  local version containerd=github.com/containerd/containerd/v2 v=k8s.io/component-base/version
  version=$(pinned kubernetes k8s.io/kubernetes)
  gobuild tools "" "" "$BIN/" ./pause ./answer ./mkimage ./imgreg ./relay
  gobuild build/kubernetes "-X $v.gitVersion=$version -X $v.gitMajor=1 -X $v.gitMinor=$(cut -d. -f2 <<<"$version")" "" "$BIN/" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl} ./lbassign
  gobuild build/etcd "" "" "$BIN/etcd" go.etcd.io/etcd/server/v3
  version=$(pinned containerd $containerd)
  gobuild build/containerd "-X $containerd/version.Version=${version#v}" "no_btrfs no_devmapper no_zfs no_tracing" "$BIN/" \
    $containerd/cmd/{containerd,containerd-shim-runc-v2,ctr} \
    github.com/containernetworking/plugins/plugins/{main/ptp,main/loopback,ipam/host-local,meta/portmap}
  gobuild build/coredns "" "" "$BIN/coredns" .
}

build() {
  mkdir -p "$BIN" "$IMAGES" "$CACHE"
  exec 9>"$BIN/.lock"; flock 9   # one build at a time
  packages
  programs
  base_images
  exec 9>&-
}

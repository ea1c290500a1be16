# The components of the cluster, each with its flags and its configuration.
# Sourced by cluster.sh.

start_etcd() {
  mkdir -p "$STATE/etcd"; chmod 700 "$STATE/etcd"
  # No fsync: a test cluster's data need not survive a power cut.
  daemon etcd etcd --name "$NODE" --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster "$NODE=http://127.0.0.1:2380" \
    --cert-file "$P/etcd.crt" --key-file "$P/etcd.key" --client-cert-auth --trusted-ca-file "$P/etcd-ca.crt"
}

start_apiserver() {
  daemon kube-apiserver kube-apiserver --v=1 \
    --advertise-address=$NODE_IP --bind-address=0.0.0.0 --secure-port=6443 \
    --etcd-servers=https://127.0.0.1:2379 --etcd-cafile="$P/etcd-ca.crt" \
    --etcd-certfile="$P/etcd-client.crt" --etcd-keyfile="$P/etcd-client.key" \
    --tls-cert-file="$P/apiserver.crt" --tls-private-key-file="$P/apiserver.key" \
    --client-ca-file="$P/ca.crt" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --allow-privileged=true --service-cluster-ip-range=$SVC_CIDR \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-jwks-uri=https://kubernetes.default.svc/openid/v1/jwks \
    --service-account-key-file="$P/sa.pub" --service-account-signing-key-file="$P/sa.key" \
    --kubelet-client-certificate="$P/apiserver-kubelet-client.crt" --kubelet-client-key="$P/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$P/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --requestheader-client-ca-file="$P/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$P/front-proxy-client.crt" --proxy-client-key-file="$P/front-proxy-client.key" \
    --enable-aggregator-routing=true --profiling=false \
    ${EGRET_CLUSTER_FEATURE_GATES:+--feature-gates=$EGRET_CLUSTER_FEATURE_GATES} ${EGRET_CLUSTER_APISERVER_ARGS:-}
}

start_controllers() {
  daemon kube-controller-manager kube-controller-manager --v=1 \
    --kubeconfig="$STATE/controller-manager.kubeconfig" --authentication-kubeconfig="$STATE/controller-manager.kubeconfig" \
    --authorization-kubeconfig="$STATE/controller-manager.kubeconfig" --bind-address=127.0.0.1 \
    --leader-elect=false --use-service-account-credentials --controllers='*,bootstrapsigner,tokencleaner' \
    --allocate-node-cidrs --cluster-cidr=$POD_CIDR --service-cluster-ip-range=$SVC_CIDR --cluster-name="$NAME" \
    --root-ca-file="$P/ca.crt" --service-account-private-key-file="$P/sa.key" \
    --cluster-signing-cert-file="$P/ca.crt" --cluster-signing-key-file="$P/ca.key" \
    --requestheader-client-ca-file="$P/front-proxy-ca.crt" \
    ${EGRET_CLUSTER_FEATURE_GATES:+--feature-gates=$EGRET_CLUSTER_FEATURE_GATES} ${EGRET_CLUSTER_CONTROLLER_ARGS:-}
  daemon kube-scheduler kube-scheduler --v=1 --kubeconfig="$STATE/scheduler.kubeconfig" \
    --authentication-kubeconfig="$STATE/scheduler.kubeconfig" --authorization-kubeconfig="$STATE/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false ${EGRET_CLUSTER_FEATURE_GATES:+--feature-gates=$EGRET_CLUSTER_FEATURE_GATES}
  daemon lbassign lbassign -kubeconfig "$STATE/internal.kubeconfig" -pool $LB_POOL
}

start_containerd() {
  mkdir -p "$STATE/conf"
  cat >"$STATE/conf/containerd.toml" <<'E'
version = 4
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:dev"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true   # root may lack CAP_SYS_RESOURCE, and then cannot lower a score
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  tolerate_missing_hugetlb_controller = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
E
  # Pod network: a veth pair and a host route per pod, no bridge - so every
  # packet is routed, and kube-proxy's rules see pod-to-pod traffic too.
  cat >"$STATE/fs/etc/cni/net.d/10-ptp.conflist" <<E
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"}]}
E
  # Every registry name resolves to ours, which serves the tars of $IMAGES; no
  # fallback to the registry itself, so that a missing image fails at once.
  mkdir -p "$STATE/fs/etc/containerd/certs.d/_default"
  printf '%s\n' "server = \"http://$NODE_IP:5000\"" 'capabilities = ["pull", "resolve"]' \
    >"$STATE/fs/etc/containerd/certs.d/_default/hosts.toml"
  daemon imgreg "$BIN/imgreg" -listen "$NODE_IP:5000" -dir "$IMAGES"
  local p
  for p in ptp loopback host-local portmap; do ln -f "$BIN/$p" "$STATE/fs/opt/cni/bin/" 2>/dev/null || cp "$BIN/$p" "$STATE/fs/opt/cni/bin/"; done
  daemon containerd containerd --config "$STATE/conf/containerd.toml" --log-level warn
}

start_node() {
  echo "# no resolver outside the cluster" >"$STATE/conf/resolv.conf"
  cat >"$STATE/conf/kubelet.yaml" <<E
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $P/kubelet.crt
tlsPrivateKeyFile: $P/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CG
failCgroupV1: false            # asked for: see able()
failSwapOn: false
clusterDNS: [$SVC_DNS]
clusterDomain: cluster.local
resolvConf: $STATE/conf/resolv.conf
imageGCHighThresholdPercent: 100   # never collect images: they cannot be pulled again
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
maxPods: 200
serializeImagePulls: false
logging: {verbosity: 1}
${EGRET_CLUSTER_KUBELET_CONFIG:-}
E
  cat >"$STATE/conf/kube-proxy.yaml" <<E
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clientConnection: {kubeconfig: $STATE/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0}   # the global limit is not this namespace's to set
E
  # The kubelet sets some kernel settings that are the whole machine's; keep
  # the old values for `down`.
  [ -e "$SYSCTL_SAVED" ] ||
    sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops \
           kernel.keys.root_maxkeys kernel.keys.root_maxbytes >"$SYSCTL_SAVED" 2>/dev/null || true
  daemon kubelet kubelet --config "$STATE/conf/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" \
    --hostname-override=$NODE --node-ip=$NODE_IP ${EGRET_CLUSTER_FEATURE_GATES:+--feature-gates=$EGRET_CLUSTER_FEATURE_GATES}
  daemon kube-proxy kube-proxy --config "$STATE/conf/kube-proxy.yaml" --v=1
}

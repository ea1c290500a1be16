// Package xdstest plays the other end of an xds.Server in tests: an Envoy, or
// many of them, in either protocol.
//
//	p := &xdstest.Peer{Node: "egret-proxy-ns-gw", Delta: true}
//	p.Open(ctx, conn); p.Subscribe(xds.TypeCluster); p.Run() // until the stream ends
//	p.Have(xds.TypeCluster)
//
// A test that looks at single responses uses Recv, Ack and Nack in place of Run.
package xdstest

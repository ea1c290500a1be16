package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	withoutqueryv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// accessLogs tell egret extproc the ends that it waits for, at once, and people
// every end if they want.
func accessLogs(people bool) []*accesslogv3.AccessLog {
	end := accessLog("egret", &grpcv3.HttpGrpcAccessLogConfig{CommonConfig: &grpcv3.CommonGrpcAccessLogConfig{
		LogName: "egret", TransportApiVersion: corev3.ApiVersion_V3,
		GrpcService: grpcService(ClusterLocal), BufferSizeBytes: count(0),
	}})
	end.Filter = awaited()
	out := []*accesslogv3.AccessLog{end}
	if people {
		out = append(out, accessLog("stdout", &streamv3.StdoutAccessLog{AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: logFormat()}}))
	}
	return out
}

func accessLog(name string, config proto.Message) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{Name: name, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(config)}}
}

// logFormat leaves out what may hold a credential: queries and fields.
func logFormat() *corev3.SubstitutionFormatString {
	fields := map[string]any{
		"time":        "%START_TIME%",
		"method":      "%REQ(:METHOD)%",
		"path":        "%REQ_WITHOUT_QUERY(:PATH)%",
		"protocol":    "%PROTOCOL%",
		"host":        "%REQ(:AUTHORITY)%",
		"status":      "%RESPONSE_CODE%",
		"flags":       "%RESPONSE_FLAGS%",
		"details":     "%RESPONSE_CODE_DETAILS%",
		"received":    "%BYTES_RECEIVED%",
		"sent":        "%BYTES_SENT%",
		"duration_ms": "%DURATION%",
		"request_id":  "%REQ(X-REQUEST-ID)%",
		"client":      "%DOWNSTREAM_REMOTE_ADDRESS%",
		"route":       "%ROUTE_NAME%",
		"cluster":     "%UPSTREAM_CLUSTER%",
		"upstream":    "%UPSTREAM_HOST%",
	}
	format, err := structpb.NewStruct(fields)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &corev3.SubstitutionFormatString{
		Format:          &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: format},
		OmitEmptyValues: true,
		Formatters:      []*corev3.TypedExtensionConfig{{Name: "envoy.formatter.req_without_query", TypedConfig: pack(&withoutqueryv3.ReqWithoutQuery{})}},
	}
}

// awaited holds for requests whose end the engine does not know yet.
func awaited() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{MetadataFilter: &accesslogv3.MetadataFilter{
		MatchIfKeyNotFound: off(),
		Matcher: &matcherv3.MetadataMatcher{
			Filter: Namespace,
			Path:   []*matcherv3.MetadataMatcher_PathSegment{{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: KeyID}}},
			Value:  &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: matching(".+")}},
		},
	}}}
}

// localReplies word what Envoy answers itself while the engine looks at a
// head, as the native plane words it.
func localReplies() *hcmv3.LocalReplyConfig {
	return &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{{
		Filter: awaited(),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:      &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "%RESPONSE_CODE%\n"}}},
			ContentType: "text/plain; charset=utf-8",
		},
		HeadersToAdd: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-request-id", Value: "%REQ(x-request-id)%"}}},
	}}}
}

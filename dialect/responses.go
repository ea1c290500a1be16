package dialect

// responsesEnd reports whether an event of this type is the last of a stream of OpenAI responses. All of them carry usage.
func responsesEnd(kind string) bool {
	switch kind {
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled", "error":
		return true
	}
	return false
}

// responsesErrorEvent holds the fields both where the reference documents them, at the top, and inside "error", where the
// official clients look before they raise.
func responsesErrorEvent(dst []byte, code, message string) []byte {
	dst = append(dst, `event: error`+"\n"+`data: {"type":"error","sequence_number":0,"code":`...)
	dst = quoteOrNull(dst, code)
	dst = append(dst, `,"message":`...)
	dst = quote(dst, message)
	dst = append(dst, `,"param":null,"error":`...)
	dst = openAIErrorObject(dst, "server_error", code, message)
	return append(dst, "}\n\n"...)
}

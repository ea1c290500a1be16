package fake

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// eventStream frames a message of AWS's event stream: the total and the header
// length, their CRC, the headers, the payload, the CRC of all. A name that
// begins with ! is that of an exception.
func eventStream(name string, payload []byte) []byte {
	kind, key := "event", ":event-type"
	if exception, ok := strings.CutPrefix(name, "!"); ok {
		kind, key, name = "exception", ":exception-type", exception
	}
	var headers []byte
	for _, h := range [][2]string{{key, name}, {":content-type", "application/json"}, {":message-type", kind}} {
		const text = 7 // type of the value
		headers = append(headers, byte(len(h[0])))
		headers = append(headers, h[0]...)
		headers = append(headers, text)
		headers = binary.BigEndian.AppendUint16(headers, uint16(len(h[1])))
		headers = append(headers, h[1]...)
	}
	const around = 4 + 4 + 4 + 4
	out := binary.BigEndian.AppendUint32(nil, uint32(around+len(headers)+len(payload)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(headers)))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
	out = append(out, headers...)
	out = append(out, payload...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
}

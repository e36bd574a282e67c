"""RFC 5531 without sockets: messages, records, dispatch, call matching."""

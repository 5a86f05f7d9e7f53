"""OAuth2 and OpenID Connect, as provider and as relying party: the protocol, without HTTP."""

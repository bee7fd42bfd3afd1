// The room of Node; see Docs/Architecture.md.

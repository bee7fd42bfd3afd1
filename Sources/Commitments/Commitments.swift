// The room of Commitments; see Docs/Architecture.md.

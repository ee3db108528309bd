//! Readers of public reports: rows in, drafts of indicators out, each rejection with its reason.

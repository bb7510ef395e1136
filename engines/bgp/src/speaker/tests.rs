//! Tests of the speaker as a whole.

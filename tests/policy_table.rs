//! Who may see an indicator: the policy as a table that can be read, and as every combination there is, against an oracle
//! that is written from the policy's words and shares nothing with the code.

#[path = "policy_table/cases.rs"]
mod cases;
#[path = "policy_table/oracle.rs"]
mod oracle;

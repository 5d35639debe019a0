// Package filter decides whether a message belongs to a subscription.
//
// An [Expression] is what a subscription asks for, compiled once. For the TAG type it is the set of tag hash codes, which
// is compared with the code that each consume queue unit carries, so that no record is read to pass over it. For the SQL92
// type it is a condition on the message's properties (Java's module filter), evaluated over the stored bytes. It has the
// methods that the store asks of a filter (engine.Filter), and is handed to it as it is.
//
// # SQL92
//
//	or         = and { OR and }
//	and        = equality { AND equality }
//	equality   = comparison { ( "=" | "<>" ) comparison | IS [NOT] NULL }
//	comparison = unary { ( ">" | ">=" | "<" | "<=" ) unary
//	           | [NOT] ( CONTAINS | STARTSWITH | ENDSWITH ) text
//	           | [NOT] BETWEEN unary AND unary
//	           | [NOT] IN "(" text { "," text } ")" }
//	unary      = ( "+" | "-" | NOT ) unary | primary
//	primary    = text | integer | float | TRUE | FALSE | NULL | property | "(" or ")"
//
// Keywords are found in any case, names of properties only as they are. What follows a complete expression is not looked
// at, but for one token that must be one: as in Java, "a = 1 b" is "a = 1".
//
// A property is a text; beside a number or a truth it is read as one of that type, as Java's valueOf does, and two texts
// are ordered as doubles. Where that cannot be done the whole expression fails, and the message does not match, whatever
// OR stands around it. A property that is absent is NULL, and logic has three values.
//
// # Invariants
//
//  1. An Expression does not change once compiled: any number of goroutines may use one, and evaluating it allocates nothing.
//  2. A message that the subscription asks for is never refused. With tags one that it does not ask for may pass, when its
//     tag's hash code is that of a tag asked for: the client compares the tags again (as Java's ExpressionMessageFilter).
//  3. An SQL92 expression says of a message what Java's says, or was refused when compiled as Java's is; only texts longer
//     than 256 KiB and nested deeper than 200 levels are refused besides.
//
// # What it does not do
//
// Java's bloom filters over the extension of consume queues are neither kept nor needed: reading properties is cheap.
package filter

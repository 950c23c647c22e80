/* SPDX-License-Identifier: Apache-2.0 */
/* Every command. The parser, --help and the manual page are made of this table. */
#include "ctl.h"

const struct verb verbs[] = {
	{ "status", NULL, NULL, NULL, ctl_status, NULL,
	  "who the daemon is, its processes, its log and what it holds" },
	{ "intent", "declare", "[FILE]",
	  "class=NAME bandwidth=RATE latency=DELAY availability=PERCENT agreement=ID",
	  ctl_intent_declare, NULL,
	  "declare an intent: a TMF921 body in FILE, or a class and what differs from its profile; "
	  "with --agreement it changes a live one" },
	{ "intent", "withdraw", "NEGOTIATION", "reason=TEXT", ctl_intent_withdraw, NULL,
	  "take back an intent of which nothing is accepted yet; its operator is told" },
	{ "intent", "list", NULL, NULL, ctl_deals,
	  "intent class flow life bandwidthBps:rate latencyMicros:ms availabilityPpm:percent id",
	  "every intent and what became of it" },
	{ "intent", "show", "ID", NULL, ctl_show, "intent_show", "one intent as a TMF921 body" },
	{ "quote", "list", NULL, NULL, ctl_deals, "quote quoteVersion quoteItems class life id",
	  "the latest quote of each deal" },
	{ "quote", "show", "ID", NULL, ctl_show, "quote_show", "one quote as a TMF648 body" },
	{ "quote", "reject", "DEAL", "reason=TEXT", ctl_terminate, "quote_reject",
	  "say no to a menu that waits for an approval" },
	{ "agreement", "list", NULL, NULL, ctl_deals,
	  "lineage rev class life active label path bandwidthBps:rate latencyMicros:ms "
	  "pricePerHour currency amount endMs:time goodSeconds badSeconds unknownSeconds",
	  "every agreement; seconds within and out of its ceilings, at the operator" },
	{ "agreement", "show", "ID", NULL, ctl_show, "agreement_show",
	  "one agreement: its TMF651 body and its credential" },
	{ "agreement", "terminate", "ID", "reason=TEXT", ctl_terminate, "agreement_terminate",
	  "end an agreement now; the reason goes into the log" },
	{ "agreement", "release", "ID", "reason=TEXT", ctl_terminate, "agreement_release",
	  "end an agreement that detected traffic had asked for; the reason goes into the log" },
	{ "agreement", "reclaim", "ID", NULL, ctl_act, "renegotiation_open",
	  "offer a smaller revision to its enterprise, to have capacity back (operator)" },
	{ "agreement", "keep", "ID", "reason=TEXT", ctl_terminate, "renegotiation_close",
	  "take back an offer that its enterprise has not accepted (operator)" },
	{ "order", "list", NULL, NULL, ctl_deals, "order action class label life lineage",
	  "the latest order of each agreement" },
	{ "order", "show", "ID", NULL, ctl_show, "order_show", "one order as a TMF622 body" },
	{ "plan", "list", NULL, NULL, ctl_deals, "plan planDone planSteps action life lineage",
	  "the latest plan of each agreement" },
	{ "plan", "show", "ID", NULL, ctl_deal_part, "plan", "one plan with its steps" },
	{ "service", "list", NULL, NULL, ctl_list,
	  "service_list services id name state operatingStatus", "every service" },
	{ "service", "show", "ID", NULL, ctl_show, "service_show", "one service as a TMF638 body" },
	{ "flows", NULL, NULL, "watch every=SPAN", ctl_flows, NULL,
	  "rates, drops and round trips of each label; --watch keeps the table live" },
	{ "loss", NULL, NULL, NULL, ctl_list,
	  "loss_list losses label dir between verdict sent lost lossPpm delayMicros:ms "
	  "uncertaintyMicros:ms clocks allSent allLost missing agreement",
	  "exact loss and one-way delay of coloured labels (RFC 9341), by the last finished "
	  "block" },
	{ "queues", NULL, NULL, NULL, ctl_list,
	  "queue_list queues device class label rateBps:rate backlogBytes backlogMicros:ms "
	  "virtualMicros:ms virtual drops",
	  "what a packet of now would wait in each class of this node's devices" },
	{ "sockets", NULL, NULL, NULL, ctl_list,
	  "socket_list sockets with sockets srttMicros:ms leastMicros:ms mostMicros:ms",
	  "smoothed round trips of this host's own TCP sockets, by label or by the peer's prefix" },
	{ "access", "divide", NULL, NULL, ctl_act, "spur_rebalance",
	  "settle now what each agreement may use of the enterprise's access link" },
	{ "path", "show", NULL, NULL, ctl_list,
	  "path_list paths path name type alive baseMicros:ms delayMicros:ms forecastMicros:ms "
	  "jitterMicros:ms "
	  "lossPpm capacityBps:rate reservedBps:rate loadBps:rate band ageMs "
	  "tableNode table tableUsed tableMax roomFor",
	  "delay, loss, load and scarcity of each path" },
	{ "path", "swap", "AGREEMENT PATH", NULL, ctl_path_swap, NULL,
	  "move an agreement to another path, make before break (operator)" },
	{ "explain", NULL, "ID", NULL, ctl_explain, NULL,
	  "every event that touched an object: who, by which rule, why, and how to undo it; "
	  "of a deal in service also what holds its rate on each node, and why not another back "
	  "end" },
	{ "verify", NULL, "AGREEMENT", NULL, ctl_verify, NULL,
	  "read every node's kernel back and compare it with what was promised" },
	{ "plan", "settle", NULL, NULL, ctl_act, "removal_settle",
	  "ask the next node that owes a removal now (operator)" },
	{ "dataplane", "dump", NULL, NULL, ctl_dataplane, "dataplane_dump",
	  "everything of ours in this node's kernel" },
	{ "dataplane", "check", NULL, NULL, ctl_dataplane, "dataplane_check",
	  "compare this node's kernel with what is committed; exit 1 on a difference" },
	{ "dataplane", "gc", NULL, NULL, ctl_dataplane, "dataplane_gc",
	  "take away what is ours in this node's kernel and nobody wants" },
	{ "dataplane", "events", NULL, NULL, ctl_dataplane_events, NULL,
	  "what this node's data plane met that should not happen: each cause, and the last ones" },
	{ "dataplane", "tables", NULL, NULL, ctl_dataplane_tables, NULL,
	  "how full this node's tables are, and how often an entry found no room" },
	{ "approval", "list", NULL, NULL, ctl_list,
	  "approval_list approvals id state act class amount:money@currency expiresMs:time deal "
	  "why",
	  "choices above policy that wait for a human, and what became of them" },
	{ "approval", "grant", "ID", "reason=TEXT", ctl_terminate, "approval_grant",
	  "allow what waits, up to its amount; the reason goes into the log" },
	{ "approval", "deny", "ID", "reason=TEXT", ctl_terminate, "approval_deny",
	  "refuse what waits; the offer is declined" },
	{ "policy", "show", NULL, NULL, ctl_policy_show, NULL, "the class profiles in force" },
	{ "policy", "load", "FILE", NULL, ctl_policy_load, NULL,
	  "check a configuration file and let the daemon take its class profiles" },
	{ "ledger", "show", NULL, NULL, ctl_ledger, NULL,
	  "wallets, holds, lineages and credit notes" },
	{ "ledger", "verify", NULL, "state=DIR", ctl_log_verify, NULL,
	  "check the journal's chain and recount every counter from it, with the log, offline" },
	{ "ledger", "freeze", NULL, "reason=TEXT", ctl_reason, "ledger_freeze",
	  "hold and capture nothing until the ledger is thawed; what is paid for runs on" },
	{ "ledger", "thaw", NULL, "reason=TEXT", ctl_reason, "ledger_thaw",
	  "recount the ledger from its journal and, if it is sound, trust it again" },
	{ "ledger", "rebuild", NULL, "state=DIR", ctl_ledger_rebuild, NULL,
	  "count the counters anew from a sound journal; the daemon must be stopped" },
	{ "consumer", "erase", "DID", "reason=TEXT", ctl_terminate, "consumer_erase",
	  "destroy the key of the bodies of a consumer whose agreements have ended; the log "
	  "stays" },
	{ "log", "tail", NULL, "lines=N after=SEQ follow", ctl_log_tail, NULL,
	  "the last rows of the log; --follow (-f) waits for more" },
	{ "log", "verify", NULL, "state=DIR", ctl_log_verify, NULL,
	  "check every hash of the log and the ledger in DIR, offline" },
	{ "log", "replay", NULL, "state=DIR", ctl_log_replay, NULL,
	  "build the world from the log twice and compare, offline" },
	{ "log", "redecide", NULL, "state=DIR", ctl_log_redecide, NULL,
	  "run every logged decision and make every root of salted digests again and compare, "
	  "offline" },
	{ "log", "prove", "[SEQ]", "from=SIZE state=DIR out=FILE", ctl_log_prove, NULL,
	  "write one event with its inclusion proof and the newest signed checkpoint, offline; "
	  "with --from the proof that the log only grew since it had SIZE events" },
	{ "log", "checkpoint", NULL, "state=DIR out=FILE", ctl_log_checkpoint, NULL,
	  "print the newest signed checkpoint, to hold the log to it later" },
	{ "log", "check-proof", "FILE", "document=FILE+ old=FILE", ctl_log_check_proof, NULL,
	  "check such a file against the DID documents of the log's side and of its cosigners, one "
	  "of --from against the older checkpoint in --old; needs neither daemon nor database" },
	{ "evidence", "list", NULL, "state=DIR", ctl_evidence_list, NULL,
	  "the contradictions of other sides' logs, and of wallets issued twice, that this side "
	  "keeps: what each says, of which log or wallet, at which sizes; offline" },
	{ "evidence", "show", "FILE", "document=FILE+", ctl_evidence_show, NULL,
	  "print one: both heads with sizes and roots, and whose names stand under them; with the "
	  "DID documents also who signed and when it was seen" },
	{ "evidence", "check", "FILE", "document=FILE+", ctl_evidence_check, NULL,
	  "check it by the DID documents alone: exit 0 when both heads are signed by the log's "
	  "side and cannot be of one log, or are of two, or one issuer signed both contents of a "
	  "wallet; 1 when it proves nothing" },
	{ "log", "commit", NULL, NULL, ctl_act, "log_commit",
	  "write the root over the salted digests of what was logged so far" },
	{ "log", "export", NULL, "for=AUDIENCE peer=DID agreement=ID after=SEQ out=FILE",
	  ctl_log_export, NULL,
	  "what the disclosure policy lets a consumer, an operator or an auditor see of the log, "
	  "signed, with salted digests for what is hidden and proofs for each event" },
	{ "log", "check-export", "FILE", "document=FILE+ opened=FILE+ proven", ctl_log_check_export,
	  NULL,
	  "check such a file against the DID documents of the log's side and of its cosigners; "
	  "--opened: that a hidden member was what log open says; --proven: every event that is "
	  "shown in part was committed to when it was logged" },
	{ "log", "open", "SEQ MEMBER", "out=FILE", ctl_log_open, NULL,
	  "print the value and the salt behind a digest of an export" },
	{ "disclosure", "show", NULL, NULL, ctl_disclosure_show, NULL,
	  "the signed policy in force: who may see what of this side" },
	{ "disclosure", "sign", "FILE", "out=FILE", ctl_disclosure_sign, NULL,
	  "check a policy of the next version and let the daemon sign it" },
	{ "disclosure", "load", "FILE", NULL, ctl_disclosure_load, NULL,
	  "put a signed policy into force; an unsigned, older or bent one is refused and logged" },
	{ "tools", NULL, NULL, "signed-by=DID", ctl_tools, NULL,
	  "what this caller may ask of the daemon; --signed-by checks the list's signature with "
	  "the "
	  "daemon's card key (did:key), exit 1 when it is another" },
	{ "mcp", NULL, NULL, "url=URL cert=FILE key=FILE ca=FILE did=DID", ctl_mcp, NULL,
	  "MCP on standard input and output, one message a line, for a client that starts its "
	  "servers; to the unix socket, or with all five options over mutual TLS to the daemon of "
	  "that DID" },
	{ "key", "new", "PATH", NULL, ctl_key_new, NULL,
	  "make an Ed25519 seed file (0600, never overwritten) and print its public key" },
	{ "key", "list", NULL, NULL, ctl_list,
	  "key_list keys key role state since until publicKeyMultibase",
	  "keys of this side: active, standby, overlap, retired, compromised; and those of others "
	  "that were compromised" },
	{ "key", "sums", NULL, NULL, ctl_list,
	  "key_list sums wallet currency committed credited ceiling since lineages lineagesMax "
	  "staying stayingMax horizon",
	  "what the signer counted by itself: signed with each wallet and given back by credit "
	  "notes, and the ceiling of each of the two; how many lineages it remembers, of how "
	  "many; how many of these stay, of how many; the time before which it signs for no new "
	  "name" },
	{ "key", "rotate", "ROLE", "overlap=SPAN reason=TEXT", ctl_key_rotate, NULL,
	  "let the key of keys.next-ROLE sign from now on; the old one verifies for SPAN (a day); "
	  "ROLE is wallet, presentation, agreement or checkpoint" },
	{ "key", "compromise", "KEY", "since=TIME reason=TEXT", ctl_key_compromise, NULL,
	  "believe KEY (a role of this side, or DID#fragment of anybody) no more, freeze the holds "
	  "that rest on it, let a standby key take over; traffic is kept" },
	{ "key", "document", NULL, "out=FILE", ctl_key_document, NULL,
	  "print the DID document of the running daemon, with retired and revoked keys" },
	{ "key", "show", "PATH", NULL, ctl_key_show, NULL, "print a key file's public key" },
	{ "did", "document", NULL,
	  "did=DID key-wallet=FILE key-agent=FILE key-agreement=FILE "
	  "key-checkpoint=FILE out=FILE",
	  ctl_did_document, NULL,
	  "print the did:web document of these keys (#wallet, #agent, #agreement, "
	  "#checkpoint)" },
	{ "wallet", "issue", "[FILE]",
	  "key=KEYFILE issuer=DID holder=DID operator=DID+ class=SPEC+ currency=CUR ceiling=MINOR "
	  "agreement-max=MINOR human-above=MINOR term-max=SPAN valid-from=TIME valid-for=SPAN "
	  "id=URN wallet-id=URN after=OLD policy=FILE policy-id=URN status-list=URL "
	  "status-index=N suspend-list=URL suspend-index=N parent=FILE sub-wallets=N book=FILE "
	  "out=FILE",
	  ctl_wallet_issue, NULL,
	  "sign an IntentWallet credential offline; FILE holds the options as a JSON object; SPEC "
	  "is NAME:ceiling=N[,latency=30ms][,bandwidth=1M][,availability=99.9]"
	  "[,scarcity=step-up|step-down]; with --parent: a sub-wallet of that one's holder, no "
	  "limit "
	  "wider, as wide where not said; --sub-wallets: how many may stand below it; --book: "
	  "where the slices of several "
	  "operators are added up, needed when the parent may go to more than one" },
	{ "wallet", "show", "FILE", "document=FILE+", ctl_wallet_show, NULL,
	  "read and verify a wallet credential and those above it; a did:web issuer's keys come "
	  "from "
	  "--document" },
	{ "wallet", "status-list", "ACTION [FILE]",
	  "key=KEYFILE issuer=DID id=URL purpose=revocation|suspension entries=N index=N+ clear=N+ "
	  "valid-for=SPAN ttl=SPAN out=FILE",
	  ctl_status_list, NULL,
	  "ACTION new: sign an empty BitstringStatusListCredential offline; ACTION set: set "
	  "(--index) "
	  "or clear (--clear, suspensions only) bits of the one in FILE and sign it again; valid "
	  "for "
	  "a day if not said otherwise" },
	{ "wallet", "revoke", "ID", "reason=TEXT", ctl_terminate, "wallet_revoke",
	  "allow no new hold on a wallet; the reason goes into the log" },
};

const size_t n_verbs = ARRAY_LEN(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* Every command. The parser, --help and the manual page are made of this table. */
#include "ctl.h"

const struct verb verbs[] = {
	{ "key", "new", "PATH", NULL, ctl_key_new, NULL,
	  "make an Ed25519 seed file (0600, never overwritten) and print its public key" },
	{ "key", "show", "PATH", NULL, ctl_key_show, NULL, "print a key file's public key" },
	{ "did", "document", NULL,
	  "did=DID key-wallet=FILE key-agent=FILE key-agreement=FILE out=FILE", ctl_did_document,
	  NULL, "print the did:web document of these keys (#wallet, #agent, #agreement)" },
	{ "wallet", "issue", "[FILE]",
	  "key=KEYFILE issuer=DID holder=DID operator=DID+ class=SPEC+ currency=CUR ceiling=MINOR "
	  "agreement-max=MINOR human-above=MINOR term-max=SPAN valid-from=TIME valid-for=SPAN "
	  "id=URN wallet-id=URN after=OLD policy=FILE policy-id=URN status-list=URL "
	  "status-index=N out=FILE",
	  ctl_wallet_issue, NULL,
	  "sign an IntentWallet credential offline; FILE holds the options as a JSON object; SPEC "
	  "is NAME:ceiling=N[,latency=30ms][,bandwidth=1M][,availability=99.9]"
	  "[,scarcity=step-up|step-down]" },
	{ "wallet", "show", "FILE", "document=FILE", ctl_wallet_show, NULL,
	  "read and verify a wallet credential; a did:web issuer's keys come from --document" },
};

const size_t n_verbs = ARRAY_LEN(verbs);

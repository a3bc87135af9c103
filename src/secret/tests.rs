//! Names, values, formats, commands and texts that are secrets, and near misses that are none.

use std::ops::Range;

use super::judge::{entropy, unquoted};
use super::*;

fn words() -> Words {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut key = String::new();
    for line in include_str!("../../rules/credentials.yaml").lines() {
        if let Some(item) = line.strip_prefix("  - ") {
            lists.entry(key.clone()).or_default().push(unquoted(item).to_owned());
        } else if let Some(name) = line.strip_suffix(':') {
            name.clone_into(&mut key);
        }
    }
    Words::from_lists(&lists).unwrap_or_default()
}

fn judge() -> Judge {
    let words = words();
    assert!(!words.defaults.is_empty(), "the lists did not load");
    Judge::new(words, 32)
}

fn texts(text: &str, spans: &[Range<usize>]) -> Vec<String> {
    spans.iter().filter_map(|s| text.get(s.clone())).map(str::to_owned).collect()
}

#[test]
fn lists_are_checked() {
    let mut lists = BTreeMap::new();
    lists.insert("nonsense".to_owned(), Vec::new());
    assert!(Words::from_lists(&lists).is_err_and(|e| e.contains("nonsense")));
    assert!(Words::from_lists(&BTreeMap::new()).is_err_and(|e| e.contains("defaults")));
}

#[test]
fn words_of_names() {
    assert_eq!(split_words("accessKeyID"), ["access", "key", "id"]);
    assert_eq!(split_words("APIToken"), ["api", "token"]);
    assert_eq!(split_words("DB_PASSWORD"), ["db", "password"]);
    assert_eq!(split_words("github-app.client-secret"), ["github", "app", "client", "secret"]);
    assert_eq!(split_words("externalAccountMACKeys"), ["external", "account", "mac", "keys"]);
    assert_eq!(judge().name_words("REGISTRY_STORAGE_OSS_ACCESSKEYSECRET"), ["registry", "storage", "oss", "access", "key", "secret"]);
    assert_eq!(judge().name_words("k8svaultapikey"), ["k8svault", "api", "key"]);
}

#[test]
fn credential_names() {
    let j = judge();
    for (kind, names) in [
        (
            Kind::Password,
            "DB_PASSWORD password adminPassword bootstrapPassword rootpasswd DB_PASSWD POSTGRES_PWD \
             MB_DB_PASS GF_SECURITY_ADMIN_PASSWORD GITEA__database__PASSWD SA_PASSWORD BITCOIN_RPCPASSWORD \
             ME_CONFIG_MONGODB_ADMINPASSWORD requirepass REDISCLI_AUTH REDIS_AUTH GPG_PASSPHRASE \
             apiPassword node.session.auth.password SERVICE_PASSWORD_ADMIN spring.datasource.password",
        ),
        (
            Kind::Token,
            "token GITHUB_TOKEN github-token hf_token accessToken TOKEN_VALUE GH_PAT INIT_CLIENT_API_TOKENS \
             ELASTICSEARCH_SERVICEACCOUNTTOKEN SLACK_VERIFICATION_TOKEN",
        ),
        (
            Kind::Key,
            "API_KEY apikey vllmApiKey OPENAI_API_KEY INNER_API_KEY_FOR_PLUGIN internalApiKey serverKey \
             k8svaultapikey azurestorageaccountkey AWS_SECRET_ACCESS_KEY secretAccessKey MINIO_SECRET_KEY \
             CLIENT_SECRET clientSecret SECRET PRIVATE_KEY ENCRYPTION_KEY APP_KEY SUPABASE_SERVICE_ROLE_KEY \
             _APP_OPENSSL_KEY_V1 UNSPLASH_ACCESS_KEY TABLESTORE_ACCESS_KEY_SECRET NEXT_PUBLIC_API_SECRET \
             VITE_STRIPE_SECRET_KEY",
        ),
        (
            Kind::SigningKey,
            "JWT_SECRET SECRET_KEY SECRET_KEY_BASE AUTH_SECRET NEXTAUTH_SECRET SESSION_SECRET COOKIE_SECRET \
             VIKUNJA_SERVICE_JWTSECRET SLACK_SIGNING_SECRET DJANGO_SECRET_KEY",
        ),
        (Kind::Loose, "secret credentials fooSecret"),
        (Kind::Identifier, "ACCESS_KEY_ID AWS_ACCESS_KEY_ID MINIO_ACCESS_KEY"),
        (Kind::Connection, "AZURE_STORAGE_CONNECTION_STRING"),
    ] {
        for name in names.split_whitespace() {
            assert_eq!(j.credential_name(name), Some(kind), "{name}");
        }
    }
}

#[test]
fn names_that_are_no_credential() {
    let j = judge();
    let names = "key keys name PASSWORD_FILE SECRETS_DIR TOKEN_PATH passwordRef secretKeyRef secretName existingSecret \
     existingSecretKey existingSecretPasswordKey auth.existingSecret passwordKey userPasswordKey \
     adminPasswordKey secretKeys rootUserSecretKey passwordSecretKey adminSecretName MAX_TOKENS max_tokens \
     maxTokens TOKEN_LIMIT TOKEN_TTL JWT_EXPIRY TOKEN_EXPIRATION PASSWORD_RESET_TOKEN_EXPIRY_IN_MINS \
     AUTH_TOKEN_ENABLED PASSWORD_MIN_LENGTH JWT_ALGORITHM TOKEN_URL TOKEN_HOST TOKEN_ISSUER server-tokens \
     server_tokens token-bucket keyspace tokenizer num_tokens promptTokens tokens_per_fill PUBLIC_KEY \
     NEXT_PUBLIC_SUPABASE_ANON_KEY TURNSTILE_SITE_KEY STRIPE_PUBLISHABLE_KEY ANON_KEY CLIENT_ID KEY_ID \
     PUBLIC_TOKEN LOGFLARE_PUBLIC_ACCESS_TOKEN partitionKey sortKey primary_key cache_key foreign_key \
     routing-key routingKey hostkey topologyKey labelKey configMapKey remoteKey keyAlgorithm keySize \
     automountServiceAccountToken ALLOW_EMPTY_PASSWORD MYSQL_RANDOM_ROOT_PASSWORD DISABLE_PASSWORD_LOGIN \
     useExistingSecret createSecret imagePullSecret IMAGE_PULL_SECRET pullSecrets tlsSecret TLS_SECRET \
     imagePullSecrets htpasswd proxy_pass fastcgi_pass GOTIFY_PASSSTRENGTH id-token AUTH_TYPE auth \
     authenticator KEYCLOAK_ENABLE_HTTPS keystoreFilename privateKeyFile pubkey S3_KEY_ID \
     JWT_REFRESH_TOKEN_EXPIRY_IN_MINUTES REDIS_KEY_PREFIX secret_name SECRETKEY_PATH SECRETKEY_STORAGE_TYPE \
     KEYCLOAK monkey turkey compass bypass author credentialsName bearerTokenFile PWD persist-credentials \
     tokenKey initialClusterToken sslClientAuth restore-keys secretProviderClass SMTP_USERNAME secretStore \
     DB_PASSWORD_SECRET_NAME input_cost_per_token";
    for name in names.split_whitespace().chain([""]) {
        assert_eq!(j.credential_name(name), None, "{name}");
    }
}

#[test]
fn literals_of_credentials() {
    let j = judge();
    for (kind, value, verdict) in [
        (Kind::Password, "hx7Qpt2m", Verdict::Literal),
        (Kind::Password, "somewordtheyuse", Verdict::Literal),
        (Kind::Password, "4711", Verdict::Literal),
        (Kind::Password, "infini_rag_flow", Verdict::Default),
        (Kind::Password, "example_123", Verdict::Default),
        (Kind::Password, "admin", Verdict::Default),
        (Kind::Password, "Postgres", Verdict::Default),
        (Kind::Password, "changeme", Verdict::Default),
        (Kind::Password, "change_me_please", Verdict::Default),
        (Kind::Key, "change-me-to-a-long-random-key", Verdict::Default),
        (Kind::Password, "gitea", Verdict::Default),
        (Kind::Password, "minioadmin", Verdict::Default),
        (Kind::Password, "prom-operator", Verdict::Default),
        (Kind::Password, "not-secure-database-password", Verdict::Default),
        (Kind::Token, "root-token-for-dev", Verdict::Default),
        (Kind::Key, "sk-1234", Verdict::Default),
        (Kind::SigningKey, "secret", Verdict::Default),
        (Kind::Key, "${API_KEY:-changeme}", Verdict::Default),
        (Kind::Password, "${DB_PASSWORD:-hunter7x}", Verdict::Literal),
        (Kind::Key, "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==", Verdict::Default),
        (Kind::Identifier, "minioadmin", Verdict::Default),
        (Kind::Key, "umami-secret", Verdict::Literal),
        (Kind::Key, "abc123XYZ987", Verdict::Literal),
        (Kind::Key, "/0eAH8y1kQaHbTe77CtuXmsfyhR7vRjIxbV1AaFy691iykGDv2Jvy0", Verdict::Literal),
        (Kind::Connection, "Server=db;User Id=sa;Password=Vk29xqpL;Encrypt=true", Verdict::Literal),
        (Kind::Key, "your-api-key", Verdict::Placeholder),
        (Kind::Key, "<your-key>", Verdict::Placeholder),
        (Kind::Key, "xxxxxxxx", Verdict::Placeholder),
        (Kind::Key, "replace-me", Verdict::Placeholder),
        (Kind::Token, "TODO_FROM_DASHBOARD", Verdict::Placeholder),
        (Kind::Key, "sk-...", Verdict::Placeholder),
        (Kind::Password, "***", Verdict::Placeholder),
        (Kind::Key, "insert-token-here", Verdict::Placeholder),
        (Kind::Key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Verdict::Placeholder),
        (Kind::Key, "0123456789abcdef0123456789abcdef", Verdict::Placeholder),
        (Kind::SigningKey, "k3Jx9", Verdict::WeakKey),
        (Kind::SigningKey, "aaaabbbbaaaabbbbaaaabbbbaaaabbbbaaaa", Verdict::WeakKey),
        (Kind::SigningKey, "this-is-my-very-own-signing-key-for-production", Verdict::WeakKey),
        (Kind::SigningKey, "blue horse runs over seven green hills", Verdict::WeakKey),
        (Kind::SigningKey, "Zt7Rk2Xv9Lm4Qw8Np3Hs6Jd1Fg5Yc0Ba", Verdict::Literal),
    ] {
        assert_eq!(j.judge(kind, value, Place::Direct), Some(verdict), "{value}");
    }
}

#[test]
fn values_that_are_no_secret() {
    let j = judge();
    for value in [
        "",
        "\"\"",
        "true",
        "False",
        "no",
        "null",
        "~",
        "none",
        "disabled",
        "optional",
        "/run/secrets/db",
        "./secret.txt",
        "../a/b",
        "/etc/tls/tls.key",
        "keystore.jks",
        "https://example.org/x",
        "${DB_PASSWORD}",
        "$DB_PASSWORD",
        "$(DB_PASSWORD)",
        "$${DB_PASSWORD}",
        "{{ .Values.password }}",
        "<%= ENV['X'] %>",
        "%DB_PASSWORD%",
        "@Microsoft.KeyVault(SecretUri=https://v/secrets/x)",
        "vault:secret/data/x#y",
        "ref+vault://secret/x",
        "op://vault/item/field",
        "arn:aws:secretsmanager:eu-west-1:1:secret:x",
        "projects/p/secrets/s/versions/1",
        "ENC[AES256_GCM,data:abc]",
        "${DB_PASSWORD:?missing}",
        "${DB_PASSWORD:-}",
        "ssh-ed25519 AAAAC3Nza",
        "$2y$10$9l4tc0djbffmb6rdscunro",
        "os.environ/REDIS_PASSWORD",
        "get_secret_value(\"hub.db.password\")",
        "!Ref Password",
        "env(JWT_SECRET)",
        "GITHUB_TOKEN",
        "{}",
        "[]",
        "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----",
        "env:AWS_SECRET_ACCESS_KEY",
        "3600",
        "15m",
    ] {
        assert_eq!(j.judge(Kind::Key, value, Place::Direct), None, "{value}");
    }
    assert_eq!(j.judge(Kind::Identifier, "AKQQ", Place::Direct), None);
    assert_eq!(j.judge(Kind::Password, "12", Place::Direct), None);
}

#[test]
fn names_of_secrets_in_values() {
    let j = judge();
    for value in ["db-credentials", "my-app-secret", "admin-password", "vllm_api_key", "HUGGING_FACE_HUB_TOKEN", "token", "key"] {
        assert_eq!(j.judge(Kind::Key, value, Place::Values), None, "{value}");
        assert_eq!(j.judge(Kind::Key, value, Place::Setting), None, "{value}");
    }
    assert_eq!(j.judge(Kind::Loose, "home-operations-runner", Place::Values), None);
    assert_eq!(j.judge(Kind::Loose, "regcred", Place::Values), None);
    assert_eq!(j.judge(Kind::Password, "admin-password", Place::Values), None);
    assert_eq!(j.judge(Kind::Password, "strongword", Place::Values), Some(Verdict::Literal));
    assert_eq!(j.judge(Kind::Password, "password", Place::Values), Some(Verdict::Default));
    assert_eq!(j.judge(Kind::Key, "dx-office", Place::Values), Some(Verdict::Literal));
    assert_eq!(j.judge(Kind::Key, "dx-office", Place::Setting), None);
    assert_eq!(j.judge(Kind::Loose, "q8Zr2Lx7Vn4Tk9", Place::Setting), Some(Verdict::Literal));
}

#[test]
fn data_of_secrets() {
    let j = judge();
    assert_eq!(j.judge_secret_data("auth.username_in", "muser"), None);
    assert_eq!(j.judge_secret_data("azurestorageaccountname", "shop"), None);
    assert_eq!(j.judge_secret_data("s3.json", r#"{"secretKey":"your-secret-key"}"#), None);
    assert_eq!(j.judge_secret_data("username", "anna"), None);
    assert_eq!(j.judge_secret_data("apiAddress", "tcp://storage:5705"), None);
    assert_eq!(j.judge_secret_data("tls.crt", "-----BEGIN CERTIFICATE-----"), None);
    assert_eq!(j.judge_secret_data("rootpasswd", "password"), Some(Verdict::Default));
    assert_eq!(j.judge_secret_data("vault", "k8s-goat-85057846a8046a25b35f38f3a2649dce"), Some(Verdict::Literal));
    assert_eq!(j.judge_secret_data("config.ini", "[db]\npassword = k29dkq\n"), Some(Verdict::Literal));
    assert_eq!(j.judge_secret_data("config.ini", "[db]\nhost = k29dkq\n"), None);
    assert_eq!(j.judge_secret_data("API_KEY", ""), None);
    assert_eq!(j.judge_secret_data("API_KEY", "${API_KEY}"), None);
}

#[test]
fn randomness() {
    assert!(entropy("aaaa").abs() < 1e-9);
    assert!((entropy("abcd") - 2.0).abs() < 1e-9);
    for value in ["q8Zr2Lx7Vn4Tk9Wb3Hd6Ms", "WVF5YThaHlkYwhGUSmCRgsX3tD5ngdN8pkih"] {
        assert!(looks_random(value, 3.5, 20), "{value}");
    }
    for value in [
        "short1A",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "550e8400-e29b-41d4-a716-446655440000",
        "kubernetes-external-secrets-operator",
        "registry.example.com/a@sha256:9f86d081884c7d659a2f",
        "/var/lib/kubelet/config.json",
        "https://example.org/path/to/x1",
        "$(VAR)",
        "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    ] {
        assert!(!looks_random(value, 3.5, 20), "{value}");
    }
}

#[test]
fn base64() {
    assert_eq!(decode_base64("cGFzc3dvcmQ=").as_deref(), Some("password"));
    assert_eq!(decode_base64("cGFz\n  c3dvcmQ=").as_deref(), Some("password"));
    for bad in ["", "cGFzc3dvcmQ", "cGFzc3dvcmR=", "a", "pass word", "AAECAw=="] {
        assert_eq!(decode_base64(bad), None, "{bad}");
    }
}

fn detector() -> Detector {
    let format = |name: &str, keyword: &str, pattern: &str| Format {
        name: name.to_owned(),
        keyword: keyword.to_owned(),
        pattern: pattern.to_owned(),
    };
    Detector::new(vec![
        format("a", "ghp_", r"\bghp_[A-Za-z0-9]{36}\b"),
        format("b", "sk-", r"\bsk-[A-Za-z0-9]{20}\b"),
        format("c", "DD_API_KEY", r#"DD_API_KEY["']?\s*[:=]\s*["']?([0-9a-f]{32})\b"#),
    ])
    .unwrap_or_else(|_| Detector { formats: Vec::new(), automaton: None, published: HashSet::new(), by_keyword: Vec::new() })
}

#[test]
fn token_formats() {
    let d = detector();
    assert!(d.check_patterns().is_ok());
    let text = "é\na: ghp_LoremIpsumDolorSitAmet4Consectetur7A, b: risk-LoremIpsumDolor12345\nDD_API_KEY=3c7e91f0a5b248d6907be1f3c2a4d586\nx: sk-LoremIpsumDolor12340 sk-IpsumLoremDolor12340\n";
    let found = d.scan(text);
    let spans: Vec<_> = found.iter().map(|m| m.span.clone()).collect();
    assert_eq!(
        texts(text, &spans),
        [
            "ghp_LoremIpsumDolorSitAmet4Consectetur7A",
            "3c7e91f0a5b248d6907be1f3c2a4d586",
            "sk-LoremIpsumDolor12340",
            "sk-IpsumLoremDolor12340"
        ]
    );
    assert!(d.scan("ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx sk-12345678901234567890").is_empty());
    assert!(d.scan("ghp_EXAMPLEpsumDolorSitAmet4Consectetur7").is_empty());
}

#[test]
fn token_in_a_very_long_line() {
    let token = "sk-LoremIpsumDolor12340";
    let text = format!("{}{token}{}", "sk- ".repeat(5_000), " sk-".repeat(5_000));
    let spans: Vec<_> = detector().scan(&text).into_iter().map(|m| m.span).collect();
    assert_eq!(texts(&text, &spans), [token]);
}

#[test]
fn unusable_formats() {
    let format = Format { name: "a".into(), keyword: "x".into(), pattern: "x".into() };
    assert!(Detector::new(vec![format.clone()]).is_err());
    let bad = Format { keyword: "abc".into(), pattern: "abc(".into(), ..format };
    assert!(Detector::new(vec![bad]).is_ok_and(|d| d.check_patterns().is_err()));
}

#[test]
fn urls() {
    let j = judge();
    for (text, password, host, verdict) in [
        ("url: postgresql://app:q8Zr2Lx7@db:5432/x", "q8Zr2Lx7", "db", Verdict::Literal),
        ("amqp://guest:guest@rabbit", "guest", "rabbit", Verdict::Default),
        ("\"redis://:s9K2m4Q@cache:6379/0\"", "s9K2m4Q", "cache", Verdict::Literal),
        ("mongodb://u:p%40x9Q@a,b/c", "p%40x9Q", "a", Verdict::Literal),
        ("http://user:password@localhost:80", "password", "localhost", Verdict::Default),
        ("http://USER:PASSWORD@HOST/", "PASSWORD", "HOST", Verdict::Placeholder),
        ("${DATABASE_URL:-postgresql://u:x81kQz@h/db}", "x81kQz", "h", Verdict::Literal),
    ] {
        let found = url_credentials(text);
        let part = |r: &Range<usize>| text.get(r.clone()).unwrap_or_default();
        assert_eq!(found.first().map(|u| (part(&u.password), part(&u.host))), Some((password, host)), "{text}");
        let judged = found.first().and_then(|u| j.judge_url(part(&u.user), part(&u.password)));
        assert_eq!(judged, Some(verdict), "{text}");
    }
    for text in [
        "https://example.org/a:b@c",
        "https://token@example.org",
        "postgres://u:${P}@h",
        "postgres://u:$(P)@h",
        "postgres://u:$${P}@h",
        "postgres://u:{{ .p }}@h",
        "postgres://u:<password>@h",
        "postgres://u:***@h",
        "git+ssh://git@github.com:a/b",
        "://u:p@h",
        "docker://alpine:3.18@sha256:abc",
        "https://a.b/?x=1:2@y",
        "postgres://u:@h",
        "http://h:80/ x@y",
    ] {
        assert!(url_credentials(text).is_empty(), "{text}");
    }
    assert!(is_local_host("localhost") && !is_local_host("db"));
}

const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjLoremIpsumDolorSitAmet7Qx\nConsecteturAdipiscingElitSedDoEiusmodTemporIncididunt5UtLabore2Zk\nEtDoloreMagnaAliquaUtEnimAdMinimVeniam0QuisNostrudExercitation8Vw\n";

#[test]
fn private_key_blocks() {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{BODY}-----END PRIVATE KEY-----");
    let indented = format!("a: |\n  {}\nb: 1\n", pem.replace('\n', "\n  "));
    assert_eq!(texts(&indented, &private_keys(&indented)), [pem.replace('\n', "\n  ")]);
    let escaped = format!("\"{}\"", pem.replace('\n', "\\n"));
    assert_eq!(private_keys(&escaped).len(), 1);
    let age = "AGE-SECRET-KEY-1QL0REM9PSUM7D0L0RS9TAMET2C0NSECTETUR8AD9P9SC9NG3EL9TZZ4K7W";
    assert_eq!(private_keys(age).len(), usize::from(age.len() == 16 + 58));
    for text in [
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".to_owned(),
        "# -----BEGIN RSA PRIVATE KEY-----\n# ...\n# -----END RSA PRIVATE KEY-----".to_owned(),
        "-----BEGIN RSA PRIVATE KEY-----".to_owned(),
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ...\n-----END PRIVATE KEY-----".to_owned(),
        format!("-----BEGIN PUBLIC KEY-----\n{BODY}-----END PUBLIC KEY-----"),
        format!("-----BEGIN CERTIFICATE-----\n{BODY}-----END CERTIFICATE-----"),
    ] {
        assert!(private_keys(&text).is_empty(), "{text}");
    }
}

fn encode(text: &str, url: bool) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(if url { ['-', '_'] } else { ['+', '/'] }).collect();
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |a, b| (a << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.extend(alphabet.get(((bits >> (18 - 6 * i)) & 63) as usize));
        }
        if !url {
            out.extend(std::iter::repeat_n('=', 3 - chunk.len()));
        }
    }
    out
}

#[test]
fn encoded_private_key() {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{BODY}-----END PRIVATE KEY-----\n");
    let text = format!("tls.key: {}\n", encode(&pem, false));
    assert_eq!(texts(&text, &private_keys(&text)), [encode(&pem, false)]);
    assert_eq!(judge().judge(Kind::Key, &pem, Place::Direct), Some(Verdict::Token));
}

#[test]
fn tokens_of_json() {
    let make = |header: &str, payload: &str| format!("{}.{}.{}", encode(header, true), encode(payload, true), "q8Zr2Lx7Vn4Tk9Wb3Hd6MsQ1");
    let live = make(r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"sub":"svc","exp":1999999999}"#);
    let found = json_web_tokens(&live);
    assert_eq!(found.first().map(|t| (t.span.len(), t.demo, t.public)), Some((live.len(), false, false)));
    let old = make(r#"{"alg":"HS256"}"#, r#"{"exp":1500000000}"#);
    assert!(json_web_tokens(&old).first().is_some_and(|t| t.demo));
    let anon = make(r#"{"alg":"HS256"}"#, r#"{"role":"anon","iss":"supabase-demo"}"#);
    assert!(json_web_tokens(&anon).first().is_some_and(|t| t.public && t.demo));
    let service = make(r#"{"alg":"HS256"}"#, r#"{"role":"service_role","iss":"supabase-demo"}"#);
    assert_eq!(judge().judge(Kind::Key, &service, Place::Direct), Some(Verdict::Default));
    assert_eq!(judge().judge(Kind::Key, &live, Place::Direct), Some(Verdict::Token));
    for text in [make(r#"{"alg":"none"}"#, "{}xxxxxxxxx"), make(r#"{"kid":"abcdefgh"}"#, r#"{"a":"bcdefg"}"#), "eyJhbGci.eyJ.x".to_owned()]
    {
        assert!(json_web_tokens(&text).is_empty(), "{text}");
    }
}

#[test]
fn arguments() {
    let j = judge();
    let of = |words: &[&str]| -> Vec<String> {
        j.argument_secrets(words).iter().filter_map(|a| words.get(a.word)?.get(a.span.clone())).map(str::to_owned).collect()
    };
    assert_eq!(of(&["redis-server", "--requirepass", "q8Zr2Lx7"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["app", "--db-password=q8Zr2Lx7"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["app", "--token", "t0p9Kx2m"]), ["t0p9Kx2m"]);
    assert_eq!(of(&["redis-cli", "-a", "q8Zr2Lx7", "ping"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["mysqladmin", "ping", "-uroot", "-pq8Zr2Lx7"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["sh", "-c", "PGPASSWORD=q8Zr2Lx7 psql -U app"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["curl", "-u", "elastic:q8Zr2Lx7", "http://x"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["curl", "-H", "Authorization: Bearer t0p9Kx2mQQ"]), ["t0p9Kx2mQQ"]);
    assert_eq!(of(&["sh", "-c", "mongosh -u root -p q8Zr2Lx7 --eval 'x'"]), ["q8Zr2Lx7"]);
    assert_eq!(of(&["java", "-Dspring.datasource.password=q8Zr2Lx7", "-jar", "a.jar"]), ["q8Zr2Lx7"]);
    assert!(j.argument_secrets(&["curl", "-u", "a:q8Zr2Lx7"]).first().is_some_and(|a| a.basic));
    for words in [
        &["app", "--password", "$(DB_PASSWORD)"][..],
        &["app", "--password=${DB_PASSWORD}"],
        &["app", "--password-file", "/run/secrets/x"],
        &["app", "--password", "--verbose"],
        &["app", "--token"],
        &["app", "--token-ttl=3600"],
        &["app", "--key", "id"],
        &["app", "--password", "<password>"],
        &["docker", "run", "-p", "8080:80"],
        &["mysql", "-p"],
        &["redis-cli", "ping"],
        &["ls", "-a", "folder9x"],
        &["sh", "-c", "redis-cli -a $REDIS_PASSWORD ping"],
        &["sh", "-c", "curl -u elastic:$${ELASTIC_PASSWORD} x"],
        &["sh", "-c", "mysqladmin ping -p$$MYSQL_ROOT_PASSWORD"],
        &["app", "--max-tokens=4096"],
        &["app", "--secret-name=my-secret"],
    ] {
        assert!(of(words).is_empty(), "{words:?}");
    }
}

#[test]
fn commands() {
    let j = judge();
    let of =
        |text: &str| -> Vec<String> { j.in_command(text).iter().filter_map(|a| text.get(a.span.clone())).map(str::to_owned).collect() };
    assert_eq!(of("redis-cli -a 'q8Zr 2Lx7' ping"), ["q8Zr 2Lx7"]);
    assert_eq!(of("export MYSQL_PWD=q8Zr2Lx7; mysql --password=\"t0p9Kx2m\""), ["q8Zr2Lx7", "t0p9Kx2m"]);
    assert_eq!(of("curl -s -u \"elastic:q8Zr2Lx7\" http://x && sleep 1"), ["q8Zr2Lx7"]);
    assert_eq!(of("sh -c \"redis-cli -a q8Zr2Lx7 ping\""), ["q8Zr2Lx7"]);
    assert!(of("test \"$(redis-cli -a $PASS ping)\" = PONG").is_empty());
}

#[test]
fn redaction() {
    let j = judge();
    let text = concat!(
        "DB_PASSWORD=one1\nexport API_TOKEN='two2'\n# SECRET_KEY=three3\n",
        "password: four4 # note\n",
        "  \"apiKey\": \"five5\", \"user\": \"x\"\n",
        "- name: DB_PASSWORD\n  value: six6\n- value: seven7\n  name: API_KEY\n",
        "- PGPASSWORD=eight8\n- {name: MY_TOKEN, value: nine9}\n",
        "password: |\n  ten10\n  eleven11\nnext: x\n",
        "url: postgres://u:twelve12@h/x\n",
        "passwordFile: /run/x\ntoken: ${TOKEN}\nsecretName: abc\nenabled: true\n",
        "cmd: redis-server --requirepass thirteen13\n",
        "args:\n- --password\n- fourteen14\n",
        "secret: \"fifteen15\n  sixteen16\"\nlast: y\n",
        "passwords:\n  - seventeen17\n",
        "{{ bad yaml ]\nKEY_PASSWORD: eighteen18\n",
    );
    assert_eq!(
        texts(text, &j.redact_lines(text)),
        [
            "one1",
            "two2",
            "three3",
            "four4",
            "five5",
            "six6",
            "seven7",
            "eight8",
            "nine9",
            "ten10",
            "eleven11",
            "twelve12",
            "thirteen13",
            "fourteen14",
            "\"fifteen15",
            "sixteen16\"",
            "seventeen17",
            "eighteen18"
        ]
    );
}

#[test]
fn redaction_of_secrets_and_keys() {
    let j = judge();
    let text = "kind: ConfigMap\ndata:\n  a: b1234\n---\napiVersion: v1\nkind: Secret\ndata:\n  whatever: YWJjZA==\n  other: |\n    text here\ntype: Opaque\n---\nkind: Pod\ndata:\n  x: abcd\n";
    assert_eq!(texts(text, &j.redact_lines(text)), ["YWJjZA==", "text here"]);
    let flat = r#"{"apiVersion":"v1","kind":"Secret","data":{"x":"YWJjZA=="},"metadata":{"name":"abcd"}}"#;
    assert_eq!(texts(flat, &j.redact_lines(flat)), ["YWJjZA=="]);
    let pem = format!("a: |\n  -----BEGIN PRIVATE KEY-----\n  {}-----END PRIVATE KEY-----\nb: 1\n", BODY.replace('\n', "\n  "));
    let masked = texts(&pem, &j.redact_lines(&pem));
    assert_eq!(masked.len(), 5);
    assert!(masked.iter().all(|m| !m.starts_with(' ')));
}

/// No text may make it panic or give spans outside the text.
#[test]
fn any_text() {
    let j = judge();
    let d = detector();
    let pieces = [
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "é",
        "://",
        "@",
        ":",
        "=",
        "\"",
        "'",
        "\n",
        " ",
        "${",
        ":-",
        "}",
        "password",
        "- ",
        "|",
        "eyJ",
        ".",
        "ghp_",
        "-p",
        "mysql ",
        "\\",
        "\\n",
        "name: ",
        "value: ",
        "kind: Secret",
        "data:",
        "LS0tLS1CRUdJTi",
        "AGE-SECRET-KEY-1",
        "#",
        "$",
        "(",
        ")",
        "\t",
        "\r",
        "日本",
        "curl -u ",
        "--token",
    ];
    let mut seed = 7_usize;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces.get((seed >> 33) % pieces.len()).copied().unwrap_or_default());
        }
        let mut spans = j.redact_lines(&text);
        spans.extend(d.scan(&text).into_iter().map(|m| m.span));
        spans.extend(j.in_command(&text).into_iter().map(|a| a.span));
        spans.extend(url_credentials(&text).into_iter().flat_map(|u| [u.url, u.user, u.password, u.host]));
        spans.extend(private_keys(&text));
        assert!(spans.iter().all(|s| text.get(s.clone()).is_some()), "{text:?}");
        let _ = j.judge(Kind::Key, &text, Place::Values);
        let _ = j.judge_secret_data("x", &text);
        let _ = j.credential_name(&text);
        let _ = looks_random(&text, 3.5, 20);
        let words: Vec<&str> = text.split('-').collect();
        for a in j.argument_secrets(&words) {
            assert!(words.get(a.word).and_then(|w| w.get(a.span)).is_some(), "{text:?}");
        }
    }
}

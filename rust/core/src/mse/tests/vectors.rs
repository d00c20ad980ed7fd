//! Vectors of whole exchanges, computed without this code.

use data_encoding::HEXLOWER;

use super::super::cipher::Cipher;
use super::super::hashes;
use super::super::key_exchange::SecretKey;
use super::*;
use crate::testing::hex;

struct Vector {
    xa: &'static str,
    ya: &'static str,
    secret: &'static str,
    req1: &'static str,
    req2_xor_req3: &'static str,
    stream_a: &'static str,
    stream_b: &'static str,
}

const XB: &str = "27cd3ad00d41d7f0601de9c8b22998e9e173f882";

const YB: &str = "146e585037871ef20442abbc033e49eb53c8d067d6a7ad2137941f3e7c4389c2\
                  0354780e9679e0475abff642dc209c6381279aad64e66b11b5b84096b11d201b\
                  61913cad663551299c1c86a0d3ee9930266bb47759da0befbd6640994f734f03";

const SKEY: &str = "000102030405060708090a0b0c0d0e0f10111213";

/// A plain one, one whose shared secret begins with 00, and one whose public
/// key does.
const VECTORS: [Vector; 3] = [
    Vector {
        xa: "57df5a2b154df96a35ad4613c100173e2d0b225c",
        ya: "ccd12a180bbd5ca8fafacad80a7c5ac29389747614b7075e03bc469fe7ec37cf\
             5020c9191c92e22c61e9c55aa26de14a1f82471a3ec4a6be9a87b3ad1fadd3c5\
             dbb63549f5f91b461e0bf016367d152aa5a024fddf477d9937886b76af1032ce",
        secret: "8a0214fc04cac3a3eafcef2913d0b17021bffb396d98c3a094be1e8ba4b37f08\
                 5ea8328a7c58f32eb092fab3920cce6c2afaad4b3d0877e7b16a208dc7b595c1\
                 ce17d572be9d641a9f900f4024ef92969beba907953e0d7ff910b3bbae4723d2",
        req1: "e22b7152eab94466a830bfd25a40f4c98fa4b7d9",
        req2_xor_req3: "9fcea9713572d99f63a117b80f9544c2e64e3cbf",
        stream_a: "9b0cb098f764d9bc6425e591119edc10",
        stream_b: "e25d5b5d7f7879d200e7b82ab13e73be",
    },
    Vector {
        xa: "1ffaa68466786321cf2b01d344c9c57cc3bfe4fd",
        ya: "0256518e301018d7ef4e3f0f37dd9a5ffc15573c3bc777eb3e19fab4be7880b4\
             23707fe224a73bbce8d33b7edb9db1615c21e8bdbae5b00c4948133442cb672d\
             2237137ef79304f6ad86412189d49409b1c46fe49718fefce507fd0458a46c28",
        secret: "006442ab45a389f264d0abe5f54f6f6774a68285767c287b244d2bb13ef333e2\
                 6c2df01b9ca792cbbc23de055880437f806113bc09d2b3617897286347c75e6b\
                 6e2b61ab81ff5979640a409a53f50b33ab4d18a19cb0f62c9ca7b90ee6d08057",
        req1: "eda6bc2d601bbb22a056e58715d0f129bb74debc",
        req2_xor_req3: "31d0eb6583125fe9e63af04cf1c1532ef65dcc4c",
        stream_a: "391ae2122e85124de18ecfa3d1bb844a",
        stream_b: "dc2a55c2339b4834a49055ec0f7c0e0b",
    },
    Vector {
        xa: "6c57d76d717811fe0e9adbabc90b9f15dd8186dd",
        ya: "00548c1711994bcd3fe3e469c70e90d6c7169f978522e128cf2aa9379e4b396f\
             aba29582b804015e435e50a7a5c59faf5b3514b0e32fa3e4a8fbebf8bff75389\
             acb43ac7fe8b83ef18ec937c15af77343d9b4db71b54c2670cf0b25435e2eef8",
        secret: "7f1084178d53afe561a33d07b979f4952269eb50ad7f7a47275453ae9a1f1aa1\
                 6cbb8e77ec734643788a066d654534cc18940929c91751a2618977ee6b74d731\
                 8a007e9783247108f08508631ef9b9ad79a7b7b1233caff2a5e01a759b3f2f6c",
        req1: "670d9efe444e59c35627b03afbbd6b1cf05bcabb",
        req2_xor_req3: "7c4a574bf9cb7a6d8f6e2d866a06889055acb402",
        stream_a: "4bf9b2fb4d0944825a1b587603bf0d07",
        stream_b: "5ed5db5d032e9eb3baf2bb0bff686c4c",
    },
];

#[test]
fn keys_hashes_and_streams_are_those_of_the_specification() {
    for vector in &VECTORS {
        let (a, b) = (
            SecretKey::from_bytes(hex(vector.xa)),
            SecretKey::from_bytes(hex(XB)),
        );
        let (ya, yb, secret) = (hex(vector.ya), hex(YB), hex(vector.secret));
        assert_eq!((a.public_key(), b.public_key()), (ya, yb));
        assert_eq!(a.shared_secret(&yb), Ok(secret));
        assert_eq!(b.shared_secret(&ya), Ok(secret));
        assert_eq!(hashes::sync_hash(&secret), hex(vector.req1));
        let swarm = InfoHash(hex(SKEY));
        let hash = ObfuscatedHash::of(swarm);
        assert_eq!(hash.masked(&secret).0, hex(vector.req2_xor_req3));
        assert_eq!(hash.masked(&secret).masked(&secret), hash);
        for (mut cipher, expected) in [
            (hashes::initiator_cipher(&secret, swarm), vector.stream_a),
            (hashes::responder_cipher(&secret, swarm), vector.stream_b),
        ] {
            let mut stream = [0; 16];
            cipher.apply(&mut stream);
            assert_eq!(stream, hex(expected));
        }
    }
}

#[test]
fn the_machine_of_a_vector_says_what_the_vector_says() {
    for vector in &VECTORS {
        let swarm = InfoHash(hex(SKEY));
        let mut machine = Initiator::with_secret(
            SecretKey::from_bytes(hex(vector.xa)),
            StdRng::from_seed(seed(1)),
            swarm,
            Methods::Both,
            b"payload",
        );
        let first = machine.poll_output().unwrap();
        assert_eq!(first[..KEY_LEN], hex::<KEY_LEN>(vector.ya));
        machine.handle_input(&hex::<KEY_LEN>(YB)).unwrap();
        let mut second = machine.poll_output().unwrap();
        assert_eq!(second[..20], hex::<20>(vector.req1));
        assert_eq!(second[20..40], hex::<20>(vector.req2_xor_req3));
        assert_eq!(second[40..48], hex::<16>(vector.stream_a)[..8]);
        hashes::initiator_cipher(&hex(vector.secret), swarm).apply(&mut second[40..]);
        assert!(second.ends_with(b"\0\x07payload"));
        // Its counterpart's constant is known before it comes.
        let mut answer = vec![0; 9];
        answer.extend(&hex::<16>(vector.stream_b)[..8]);
        machine.handle_input(&answer).unwrap();
        assert_eq!(machine.room(), CRYPTO_FIELD_LEN + HANDSHAKE_LEN);
    }
}

/// RFC 6229, at offset 1024.
#[test]
fn the_beginning_of_the_keystream_is_dropped() {
    let stream = |key: &str, expected: &str| {
        let mut cipher = Cipher::of_any_key(&HEXLOWER.decode(key.as_bytes()).unwrap());
        let mut stream = [0; 16];
        cipher.apply(&mut stream);
        assert_eq!(stream, hex(expected));
    };
    stream("0102030405", "30abbcc7c20b01609f23ee2d5f6bb7df");
    stream(
        "0102030405060708090a0b0c0d0e0f10",
        "bdf0324e6083dcc6d3cedd3ca8c53c16",
    );
}

#[test]
fn a_cipher_does_the_same_in_place_and_into_another_buffer_in_any_pieces() {
    let plain: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let mut whole = plain.clone();
    Cipher::new(&[3; 20]).apply(&mut whole);
    for step in [1, 7, 8, 9, 333] {
        let mut cipher = Cipher::new(&[3; 20]);
        let mut pieces = plain.clone();
        pieces
            .chunks_mut(step)
            .for_each(|piece| cipher.apply(piece));
        assert_eq!(pieces, whole);
        let mut cipher = Cipher::new(&[3; 20]);
        let mut copy = vec![0; 1000];
        for (from, to) in plain.chunks(step).zip(copy.chunks_mut(step)) {
            assert_eq!(cipher.apply_into(from, to), from.len());
        }
        assert_eq!(copy, whole);
    }
    // No more is used up than both hold.
    let mut cipher = Cipher::new(&[3; 20]);
    let mut copy = vec![0; 1000];
    assert_eq!(cipher.apply_into(&plain, &mut copy[..10]), 10);
    assert_eq!(cipher.apply_into(&plain[10..], &mut copy[10..]), 990);
    assert_eq!(copy, whole);
}

extends GutTest
## TorrentError: the table of codes, and errors of one's own.

const CODES := {
	"OK": 0,
	"SESSION_NOT_RUNNING": 100,
	"SESSION_ALREADY_RUNNING": 101,
	"SESSION_START_FAILED": 102,
	"SESSION_STOP_FAILED": 103,
	"INVALID_TORRENT_HANDLE": 200,
	"INVALID_TORRENT_FILE": 201,
	"INVALID_MAGNET_URI": 202,
	"TORRENT_ADD_FAILED": 203,
	"TORRENT_REMOVE_FAILED": 204,
	"TORRENT_NOT_FOUND": 205,
	"NO_METADATA": 206,
	"NETWORK_INIT_FAILED": 300,
	"PORT_BINDING_FAILED": 301,
	"CONNECTION_FAILED": 302,
	"TIMEOUT": 303,
	"INVALID_PATH": 400,
	"PATH_NOT_FOUND": 401,
	"PERMISSION_DENIED": 402,
	"DISK_FULL": 403,
	"STORAGE_MOVE_FAILED": 404,
	"FILE_RENAME_FAILED": 405,
	"BENCODE_PARSE_ERROR": 500,
	"TORRENT_INFO_PARSE_ERROR": 501,
	"RESUME_DATA_PARSE_ERROR": 502,
	"DHT_STATE_PARSE_ERROR": 503,
	"INVALID_PARAMETER": 600,
	"EMPTY_SAVE_PATH": 601,
	"INVALID_PIECE_INDEX": 602,
	"INVALID_FILE_INDEX": 603,
	"INVALID_PRIORITY": 604,
	"INVALID_URL": 605,
	"WRONG_THREAD": 606,
	"TRACKER_ANNOUNCE_FAILED": 700,
	"TRACKER_SCRAPE_FAILED": 701,
	"TRACKER_INVALID_RESPONSE": 702,
	"DHT_START_FAILED": 800,
	"DHT_BOOTSTRAP_FAILED": 801,
	"PEER_CONNECTION_FAILED": 900,
	"PEER_BANNED": 901,
	"INTERNAL_EXCEPTION": 1000,
	"UNKNOWN_ERROR": 1001,
}

const CATEGORIES := {
	"NONE": 0,
	"SESSION_ERROR": 1,
	"TORRENT_ERROR": 2,
	"NETWORK_ERROR": 3,
	"STORAGE_ERROR": 4,
	"PARSE_ERROR": 5,
	"VALIDATION_ERROR": 6,
	"TRACKER_ERROR": 7,
	"DHT_ERROR": 8,
	"PEER_ERROR": 9,
	"INTERNAL_ERROR": 10,
}


func test_the_constants_are_those_of_the_api() -> void:
	var expected := CODES.merged(CATEGORIES)
	var names := ClassDB.class_get_integer_constant_list("TorrentError", true)
	assert_eq(names.size(), expected.size())
	for name: String in expected:
		assert_eq(ClassDB.class_get_integer_constant("TorrentError", name), expected[name], name)


func test_each_code_makes_an_error_of_its_category() -> void:
	for name: String in CODES:
		var error := TorrentError.create(CODES[name])
		assert_not_null(error, name)
		assert_eq(error.get_code(), CODES[name], name)
		assert_eq(error.get_category(), CODES[name] / 100, name)
		assert_ne(error.get_message(), "", "%s has words" % name)
		assert_eq(error.is_error(), name != "OK", name)
		assert_eq(error.to_dict().name, name)


func test_message_and_context_are_kept() -> void:
	var error := TorrentError.create(TorrentError.DISK_FULL, "nothing left", "user://maps")
	assert_eq(error.get_message(), "nothing left")
	assert_eq(error.get_context(), "user://maps")
	assert_true(error.is_recoverable())
	assert_eq_deep(
		error.to_dict(),
		{
			"code": 403,
			"name": "DISK_FULL",
			"category": 4,
			"message": "nothing left",
			"context": "user://maps",
			"recoverable": true,
		}
	)


func test_not_every_error_is_worth_another_try() -> void:
	assert_true(TorrentError.create(TorrentError.TIMEOUT).is_recoverable())
	assert_false(TorrentError.create(TorrentError.INVALID_TORRENT_FILE).is_recoverable())


func test_an_unknown_code_is_refused(
	code: int = use_parameters([-1, 1, 99, 1002, 1 << 40])
) -> void:
	assert_null(TorrentError.create(code))
	assert_push_error("TorrentError.create")


func test_a_new_one_is_no_error() -> void:
	var error := TorrentError.new()
	assert_eq(error.get_code(), TorrentError.OK)
	assert_eq(error.get_category(), TorrentError.NONE)
	assert_false(error.is_error())

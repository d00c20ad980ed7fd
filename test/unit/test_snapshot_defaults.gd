extends GutTest
## TorrentStatus and PeerInfo that a script makes stand for nothing: every getter says
## so, without an error, and their texts are readable.


func test_a_status_of_nothing() -> void:
	_assert_empty(TorrentStatus.new())
	var status := TorrentStatus.new()
	assert_eq(status.get_status_dictionary().get("name"), "")
	assert_eq(status.get_info_hash(), "")
	assert_eq(status.get_error(), "")
	assert_string_starts_with(str(status), "TorrentStatus(")


func test_a_peer_that_is_none() -> void:
	_assert_empty(PeerInfo.new())
	assert_string_starts_with(str(PeerInfo.new()), "PeerInfo(")


## What each getter returns is of its type, and no number, text or list of anything.
func _assert_empty(object: Object) -> void:
	for method in ClassDB.class_get_method_list(object.get_class(), true):
		var is_getter: bool = method.args.is_empty() and method.return.type != TYPE_NIL
		if not is_getter or method.name.begins_with("_") or method.name.ends_with("_dictionary"):
			continue
		var value: Variant = object.call(method.name)
		assert_eq(typeof(value), method.return.type, method.name)
		match typeof(value):
			TYPE_BOOL:
				assert_false(value, method.name)
			TYPE_STRING when method.name != "get_state_string":
				assert_eq(value, "", method.name)
			TYPE_PACKED_BYTE_ARRAY:
				assert_eq(value.size(), 0, method.name)
			TYPE_FLOAT:
				assert_eq(value, 0.0, method.name)
			TYPE_INT when method.name != "get_state":
				assert_has([0, -1], value, method.name)
